"""A pre-loaded topic, drained by real workers on a stack of its own."""

import asyncio
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import demo
from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.settings import Settings
from pipeline.simulator.producing import produce_day
from pipeline.stack import Endpoints
from pipeline.stack.temporary import temporary_stack
from pipeline.status import StatusReader, open_status

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


def drain_round(events: int, orgs: int, workers: int) -> Round:
    """Produce so many events, then start workers and let them drain the topic; the books are proved afterwards."""
    with tempfile.TemporaryDirectory(prefix="folio-bench-") as folder:
        directory = Path(folder) / "stack"
        with temporary_stack(directory):
            settings = settings_module.load({"FOLIO_STACK_DIR": str(directory)})
            return asyncio.run(_drain(settings, resolve(settings), events, orgs, workers))


async def _drain(settings: Settings, endpoints: Endpoints, events: int, orgs: int, workers: int) -> Round:
    await demo.prepare(settings, endpoints)
    # Events alone: what the published figures, and those of the peers, are about.
    plan = replace(await demo.next_plan(settings, endpoints, events, orgs), correction_share=0)
    await produce_day(endpoints.kafka_bootstrap, plan)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    async with open_status(endpoints, settings.database, settings.kafka.topic_prefix) as reader:
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
