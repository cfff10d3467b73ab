"""Strike the real thing, again and again. `make chaos`, `make chaos QUICK=1`, `make chaos SEEDS=5 SEED=20`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.chaos import report
from tests.chaos.campaign import campaign
from tests.chaos.catalogue import KINDS, SELDOM
from tests.chaos.plan import in_order, plan_of, unknown

# A trial takes some twenty seconds; the bound ends a campaign before the next stream begins.
_QUICK_MINUTES: Final = 13.0
_MINUTES: Final = 240.0
_QUICK_PAIRS: Final = 2
_PAIRS: Final = 12


def main() -> int:
    """0: every fault fired, and every promise was kept; 1: not so; 2: the time did not suffice for all of it."""
    options = _options()
    kinds = _kinds(options.kinds, quick=options.quick)
    if strange := unknown(kinds):
        print(f"no such fault: {', '.join(strange)}; there are: {', '.join(KINDS)}", file=sys.stderr)
        return 2
    pairs = options.pairs
    if pairs is None:
        pairs = 0 if options.kinds else _QUICK_PAIRS if options.quick else _PAIRS
    minutes = options.minutes or (_QUICK_MINUTES if options.quick else _MINUTES)
    seeds = range(options.seed, options.seed + options.rounds)
    plans = [in_order(seed, kinds) if options.kinds and not pairs else plan_of(seed, kinds, pairs) for seed in seeds]
    results = asyncio.run(campaign(plans, minutes * 60))
    if options.report is not None:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        report.write(results, options.report)
        print(f"report: {options.report}")
    if results.broken:
        print(f"the arena could not be mended: {results.broken}", file=sys.stderr)
    print(report.summary(results))
    if results.failed:
        return 1
    return 2 if results.not_run else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--rounds", type=int, default=1, help="how many seeds; each strikes with every kind once")
    parser.add_argument("--kinds", default="", help="only these, with commas; a pair is written one+other")
    parser.add_argument("--pairs", type=int, help="random pairs besides, of each seed")
    parser.add_argument("--quick", action="store_true", help="fewer kinds, and a quarter of an hour at most")
    parser.add_argument("--minutes", type=float, help="no new stream begins after that")
    parser.add_argument("--report", type=Path, help="write a report there: Markdown, or JSON (.json)")
    return parser.parse_args()


def _kinds(named: str, *, quick: bool) -> Sequence[str]:
    if named:
        return [name.strip() for name in named.split(",")]
    return [name for name in KINDS if not (quick and name in SELDOM)]


if __name__ == "__main__":
    sys.exit(main())
