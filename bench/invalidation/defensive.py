"""What a defensive mode would cost, and whether there is anything that it would defend against.

"Defensive" is what caches without versions do until somebody trusts them: invalidate before the transaction and after
it. Here a floor is a version, and a fill is refused below it, so that once after the commit is enough (ADR 4). The race
below tries to prove that wrong: readers miss, read the primary, sleep for as long as they like, and fill.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import date
from typing import Final

from bench.invalidation.load import EPOCH, Parts, batches, parts
from pipeline.cache.balances import BalanceCache, CachedBalance, Miss

_DAY: Final = date(2026, 1, 31)
_PROPERTIES: Final = 20
_READERS: Final = 6
_SLEEP_SECONDS_MAX: Final = 0.02


@dataclass(frozen=True, slots=True)
class Defence:
    """Milliseconds of a batch of 2,500 changed days, and microseconds of CPU for each floor, client and server."""

    once_ms: float  # after the commit: readers may see the version before for so long
    twice_ms: float  # before and after: half of it lies in the transaction's way
    once_cpu_us: float
    twice_cpu_us: float


@dataclass(frozen=True, slots=True)
class Race:
    """Reads, fills and invalidations of a few properties at once; `stale` reads saw less than a raised floor."""

    reads: int
    hits: int
    fills: int
    fills_refused: int
    floors: int
    stale: int


async def cost(url: str, groups_max: int, batch_count: int) -> Defence:
    """Raise the floors of so many batches once each, then twice each."""
    own = parts(url, groups_max)
    try:
        await _passes(own, 5, 1)
        once_ms, once_cpu_us = await _passes(own, batch_count, 1)
        twice_ms, twice_cpu_us = await _passes(own, batch_count, 2)
    finally:
        await own.close()
    return Defence(once_ms, twice_ms, once_cpu_us, twice_cpu_us)


async def _passes(own: Parts, batch_count: int, times: int) -> tuple[float, float]:
    """Milliseconds a batch, microseconds of CPU a changed day."""
    source, days = batches(1), 0
    server, cpu, started = await own.server_cpu_seconds(), time.process_time(), time.monotonic()
    for _ in range(batch_count):
        rows = next(source)
        days += sum(len(row.updates) for row in rows)
        for _ in range(times):
            await own.invalidator.invalidate(rows)
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    server = await own.server_cpu_seconds() - server
    return wall / batch_count * 1_000, (cpu + server) / days * 1e6


async def race(url: str, seconds: float) -> Race:
    """Readers and fillers against invalidation, once after each commit, for so long."""
    own = parts(url, 50)
    world = _World(own.cache, time.monotonic() + seconds)
    try:
        # Versions go on from what an earlier race may have left.
        await asyncio.gather(world.commit_and_invalidate(), *(world.read(seed) for seed in range(_READERS)))
    finally:
        await own.close()
    return Race(world.reads, world.hits, world.fills, world.refused, world.floors, world.stale)


class _World:
    """A primary that is a dictionary, readers of it through the cache, and one writer."""

    def __init__(self, cache: BalanceCache, until: float) -> None:
        self._cache = cache
        self._until = until
        self._base = time.time_ns() // 1_000_000
        self._primary = dict.fromkeys(range(_PROPERTIES), self._base)
        self._raised = dict.fromkeys(range(_PROPERTIES), 0)
        self.reads = self.hits = self.fills = self.refused = self.floors = self.stale = 0

    async def commit_and_invalidate(self) -> None:
        dice = random.Random(0)  # noqa: S311
        while time.monotonic() < self._until:
            changed = dice.sample(range(_PROPERTIES), 3)
            for number in changed:
                self._primary[number] += 1
            versions = {number: self._primary[number] for number in changed}
            await asyncio.sleep(dice.random() * _SLEEP_SECONDS_MAX / 4)
            await self._cache.raise_floors(EPOCH, {_key(number): {_DAY: at} for number, at in versions.items()})
            self._raised.update(versions)
            self.floors += len(changed)

    async def read(self, seed: int) -> None:
        dice = random.Random(seed + 1)  # noqa: S311
        while time.monotonic() < self._until:
            number = dice.randrange(_PROPERTIES)
            raised = self._raised[number]  # what was promised before this read began
            found = await self._cache.get(EPOCH, _key(number), _DAY)
            self.reads += 1
            if isinstance(found, Miss):
                await self._fill(number, found, dice)
            else:
                self.hits += 1
                self.stale += found.version < raised

    async def _fill(self, number: int, miss: Miss, dice: random.Random) -> None:
        version = self._primary[number]
        await asyncio.sleep(dice.random() * _SLEEP_SECONDS_MAX)
        if await self._cache.fill(miss, CachedBalance(version, b"x")):
            self.fills += 1
        else:
            self.refused += 1


def _key(number: int) -> tuple[int, int]:
    return 2 * 10**9, number + 1
