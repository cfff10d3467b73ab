"""Run seeds on all cores, or one of them with its whole history. `make simulate SEEDS=10000`."""

import argparse
import gc
import itertools
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from tests.simulation.plan import KINDS, Plan, plan_of
from tests.simulation.shrinking import shrunk
from tests.simulation.world import Verdict, simulate

_CHUNK: Final = 25
_FAILURES_SHOWN: Final = 3


@dataclass
class Summary:
    """What came of many runs."""

    seeds: int = 0
    records: int = 0
    updates: int = 0
    virtual_seconds: float = 0.0
    recovery_seconds_max: float = 0.0
    fired: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        self.seeds += 1
        self.records += verdict.records
        self.updates += verdict.updates
        self.virtual_seconds += verdict.virtual_seconds
        self.recovery_seconds_max = max(self.recovery_seconds_max, verdict.recovery_seconds)
        self.fired.update(verdict.fired)
        if verdict.failure is not None:
            self.failed.append((verdict.seed, verdict.failure))

    def merge(self, other: "Summary") -> None:
        self.seeds += other.seeds
        self.records += other.records
        self.updates += other.updates
        self.virtual_seconds += other.virtual_seconds
        self.recovery_seconds_max = max(self.recovery_seconds_max, other.recovery_seconds_max)
        self.fired.update(other.fired)
        self.failed += other.failed


def main() -> int:
    """0: every seed kept every promise; 1: one did not; 2: a kind of fault never struck."""
    options = _options()
    _same_order_everywhere()
    _quiet()
    if options.seed is not None:
        return _one(options.seed, shrink=options.shrink)
    began = time.perf_counter()
    summary = _many(range(options.first, options.first + options.seeds), options.jobs)
    for seed, failure in summary.failed[:_FAILURES_SHOWN]:
        print(f"seed {seed}: {failure}")
        _tell(_small(plan_of(seed)))
    return _told(summary, time.perf_counter() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--seed", type=int, help="only this one, with its history")
    parser.add_argument("--shrink", action="store_true", help="with --seed: the smallest run that still fails")
    return parser.parse_args()


def _same_order_everywhere() -> None:
    """Sets of texts are walked in an order that each process draws anew, unless it is told not to."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )


def _quiet() -> None:
    """What a worker logs would be a hundred lines a run; and what is loaded need not be collected after each."""
    gc.collect()
    gc.freeze()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


def _one(seed: int, *, shrink: bool) -> int:
    plan = plan_of(seed)
    verdict = _tell(_small(plan) if shrink else plan)
    return int(verdict.failure is not None)


def _small(plan: Plan) -> Plan:
    return shrunk(plan, lambda smaller: simulate(smaller).failure is not None)


def _tell(plan: Plan) -> Verdict:
    """Run it, and print what it was and what happened."""
    verdict = simulate(plan)
    print(
        f"seed {plan.seed}: {plan.workers} workers, {plan.lanes} lanes, {len(plan.sendings)} records, batches of "
        f"{plan.rows_max} at most"
    )
    for sending in plan.sendings:
        print(f"  {sending.at:9.4f} {sending.feed} lane {sending.lane}: {sending.value.decode(errors='replace')}")
    for line in verdict.history:
        print(f"  {line}")
    print(f"  {verdict.failure or 'every promise kept'} (digest {verdict.digest})")
    return verdict


def _many(seeds: range, jobs: int) -> Summary:
    summary = Summary()
    began = time.perf_counter()
    with ProcessPoolExecutor(jobs) as pool:
        for part in pool.map(_some, _chunks(seeds)):
            summary.merge(part)
            if sys.stderr.isatty():
                rate = summary.seeds / (time.perf_counter() - began)
                print(f"\r{summary.seeds:,} seeds, {rate:.0f}/s, {len(summary.failed)} failed", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return summary


def _chunks(seeds: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(seeds)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield chunk


def _some(seeds: list[int]) -> Summary:
    _quiet()
    summary = Summary()
    for seed in seeds:
        summary.add(simulate(plan_of(seed)))
    return summary


def _told(summary: Summary, seconds: float) -> int:
    never = [kind for kind in KINDS if not summary.fired[kind]]
    for kind, times in sorted(summary.fired.items()):
        print(f"  {kind:24} struck {times:,} times")
    enough_for_all = summary.seeds >= 8 * len(KINDS)
    if never and enough_for_all:
        print(f"  never struck: {', '.join(never)}")
    print(
        f"simulation: {summary.seeds:,} seeds, {summary.records:,} records, {summary.updates:,} updates, "
        f"{sum(summary.fired.values()):,} faults of {len(summary.fired)} kinds, {summary.virtual_seconds / 3600:.1f} h "
        f"of virtual time, slowest recovery {summary.recovery_seconds_max:.1f} s, {len(summary.failed)} failed "
        f"({seconds:.0f} s, {summary.seeds / seconds:.0f} seeds/s)"
    )
    if summary.failed:
        return 1
    return 2 if never and enough_for_all else 0


if __name__ == "__main__":
    sys.exit(main())
