"""python -m bench: a pre-loaded topic, drained by real workers; the median of several rounds with least and most.

Each round has a stack of its own, so that no round finds what an earlier one left.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from pipeline import demo
from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.settings import Settings
from pipeline.simulator.producing import produce_day
from pipeline.stack import Endpoints, temporary_stack
from pipeline.status import StatusReader, open_status
from schemas.topics import FINANCE_EVENTS

_LOOK_SECONDS = 0.05
_SECONDS_MAX = 600.0


@dataclass(frozen=True, slots=True)
class Round:
    """One drain, from the start of the worker processes to the last update published.

    CPU is that of the worker processes; memory is the peak of the largest one.
    """

    events: int
    seconds: float
    events_per_second: float
    workers_cpu_seconds: float
    worker_peak_mib: float
    differences: int


def main() -> int:
    arguments = _arguments()
    rounds = []
    # A process for each round: the peak of its children must not be that of the last round's broker.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        for number in range(1, arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds} …", file=sys.stderr, flush=True)
            rounds.append(processes.submit(_round, arguments.events, arguments.orgs, arguments.workers).result())
    rates = [round_.events_per_second for round_ in rounds]
    print(json.dumps([asdict(round_) for round_ in rounds], indent=2))
    print(
        f"drain: {statistics.median(rates):,.0f} events/s (least {min(rates):,.0f}, most {max(rates):,.0f}), "
        f"{arguments.workers} worker(s), at most {max(round_.worker_peak_mib for round_ in rounds):,.0f} MiB a worker"
    )
    return 1 if any(round_.differences for round_ in rounds) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Drain a pre-loaded topic.")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--orgs", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _round(events: int, orgs: int, workers: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="folio-bench-") as folder:
        directory = Path(folder) / "stack"
        with temporary_stack(directory):
            settings = settings_module.load({"FOLIO_STACK_DIR": str(directory)})
            return asyncio.run(_drain(settings, resolve(settings), events, orgs, workers))


async def _drain(settings: Settings, endpoints: Endpoints, events: int, orgs: int, workers: int) -> Round:
    await demo.prepare(settings, endpoints)
    plan = await demo.next_plan(settings, endpoints, events, orgs)
    await produce_day(endpoints.kafka_bootstrap, plan)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    async with open_status(endpoints, settings.database, FINANCE_EVENTS) as reader:
        started = time.monotonic()
        with demo.running_workers(settings, workers, settings.stack.dir / "workers.log"):
            await _until_drained(reader, events)
            seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = await demo.prove(settings, endpoints)
    return Round(
        events=events,
        seconds=round(seconds, 2),
        events_per_second=round(events / seconds),
        workers_cpu_seconds=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        worker_peak_mib=round(after.ru_maxrss / 1024, 1),
        differences=report.difference_count,
    )


async def _until_drained(reader: StatusReader, events: int) -> None:
    """Until everything is committed and published."""
    async with asyncio.timeout(_SECONDS_MAX):
        while (now := await reader.committed()).consumed < events or now.unpublished:
            await asyncio.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
