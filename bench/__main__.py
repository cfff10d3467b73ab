"""python -m bench: the median of several rounds, with least and most.

Each round has a stack of its own, so that no round finds what an earlier one left.
"""

import argparse
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context

from bench.drain import drain_round


def main() -> int:
    arguments = _arguments()
    rounds = []
    # A process for each round: the peak of its children must not be that of the last round's broker.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        for number in range(1, arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds} …", file=sys.stderr, flush=True)
            rounds.append(processes.submit(drain_round, arguments.events, arguments.orgs, arguments.workers).result())
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


if __name__ == "__main__":
    sys.exit(main())
