"""Fuzz the contract: so many generated messages on all cores. `make fuzz MESSAGES=1000000`."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Final

from tests.fuzzing.judging import Tally, accounted
from tests.fuzzing.mutation import mutated

_BATCH: Final = 250  # messages that go into the books together
_CHUNK: Final = 10  # batches that a process takes at a time


def main() -> int:
    """0: no crash, both decoders agree on each message, each has its outcome."""
    options = _options()
    began = time.perf_counter()
    tally = Tally()
    with ProcessPoolExecutor(options.jobs) as pool:
        for part in pool.map(_some, _chunks(options.seed, options.messages)):
            tally.add(part)
            if sys.stderr.isatty():
                print(f"\r{tally.messages:,} messages", end="", file=sys.stderr)
    for verdict, count in tally.verdicts.most_common():
        print(f"  {verdict:24} {count:,}")
    seconds = time.perf_counter() - began
    shares = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items()) if count)
    print(
        f"fuzzing: {tally.messages:,} messages ({tally.bytes / 1e6:,.0f} MB), 0 crashes, 0 disagreements, all "
        f"accounted: {shares} ({seconds:.0f} s)"
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="how many, rounded up to whole batches")
    parser.add_argument("--seed", type=int, default=0, help="the first of the batches' seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    return parser.parse_args()


def _chunks(seed: int, messages: int) -> Iterator[range]:
    batches = -(-messages // _BATCH)
    for first in range(seed, seed + batches, _CHUNK):
        yield range(first, min(first + _CHUNK, seed + batches))


def _some(seeds: range) -> Tally:
    """Each batch from a seed of its own, so that a failure names the batch that repeats it."""
    tally = Tally()
    for seed in seeds:
        chance = Random(seed)
        try:
            tally.add(accounted([mutated(chance) for _ in range(_BATCH)]))
        except Exception as error:
            error.add_note(f"python -m tests.fuzzing --seed {seed} --messages {_BATCH} repeats it")
            raise
    return tally


if __name__ == "__main__":
    sys.exit(main())
