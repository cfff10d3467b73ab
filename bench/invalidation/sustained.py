"""How fast floors rise, what that costs either side, and what others at the cache feel of it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from batchers.outbox import OutboxRow
from bench.invalidation.load import EPOCH, Parts, batches, parts
from bench.invalidation.reading import Reader, Reads
from pipeline.cache.balances import CachedBalance, Miss

_CONNECTIONS: Final = 8  # of the product's client


@dataclass(frozen=True, slots=True)
class Sustained:
    """One shape of calls. `call_*` are milliseconds of a call; CPU is in microseconds for each floor."""

    groups_max: int
    days_per_property: int
    floors_per_second: float  # closed loop: as fast as it goes, one call at a time, as a worker's writer does
    call_p50_ms: float
    call_p99_ms: float
    call_max_ms: float
    client_cpu_us: float
    server_cpu_us: float
    reads: Reads  # of another client, at a paced load


async def sustained(url: str, groups_max: int, days: int, seconds: float, paced_floors: float) -> Sustained:
    """Measure a shape: first as fast as it goes, then at `paced_floors` a second with a reader beside."""
    own = parts(url, groups_max)
    try:
        source = batches(days)
        await _for(own, source, 0.3)  # connections
        own.timed.calls.reset()
        floors, server = own.timed.floors, await own.server_cpu_seconds()
        started, cpu = time.monotonic(), time.process_time()
        await _for(own, source, seconds)
        wall, cpu = time.monotonic() - started, time.process_time() - cpu
        server = await own.server_cpu_seconds() - server
        floors = own.timed.floors - floors
        calls = own.timed.calls
        call = calls.percentile_ms(50), calls.percentile_ms(99), calls.max_ms
        reads = await _paced(own, url, source, seconds, paced_floors)
    finally:
        await own.close()
    return Sustained(
        groups_max,
        days,
        floors / wall,
        *call,
        cpu / floors * 1e6,
        server / floors * 1e6,
        reads,
    )


async def _for(own: Parts, source: Iterator[list[OutboxRow]], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await own.invalidator.invalidate(next(source))


async def _paced(
    own: Parts, url: str, source: Iterator[list[OutboxRow]], seconds: float, floors_per_second: float
) -> Reads:
    reader = Reader(url, seconds)
    reader.begin()
    reading = asyncio.ensure_future(reader.ended())
    started, raised = time.monotonic(), 0
    while not reading.done():
        rows = next(source)
        await own.invalidator.invalidate(rows)
        raised += sum(len(row.updates) for row in rows)
        await asyncio.sleep(max(started + raised / floors_per_second - time.monotonic(), 0))
    return await reading


async def quiet(url: str, seconds: float) -> Reads:
    """The reader alone: what the figures beside an invalidation are to be held against."""
    reader = Reader(url, seconds)
    reader.begin()
    return await reader.ended()


async def with_values(url: str, groups_max: int, days: Sequence[tuple[int, int, date]]) -> float:
    """Floors a second where every day has a cached balance to drop; a day that nobody asked for has nothing."""
    own = parts(url, groups_max)
    try:
        for first in range(0, len(days), _CONNECTIONS):
            filled = await asyncio.gather(*(_fill(own, day) for day in days[first : first + _CONNECTIONS]))
            assert all(filled), "nobody else raises these floors"
        floors: dict[tuple[int, int], dict[date, int]] = {}
        for org_id, property_id, day in days:
            floors.setdefault((org_id, property_id), {})[day] = 2
        started = time.monotonic()
        keys = list(floors)
        for first in range(0, len(keys), groups_max):
            await own.timed.raise_floors(EPOCH, {key: floors[key] for key in keys[first : first + groups_max]})
        return len(days) / (time.monotonic() - started)
    finally:
        await own.close()


async def _fill(own: Parts, day: tuple[int, int, date]) -> bool:
    miss = await own.cache.get(EPOCH, day[:2], day[2])
    assert isinstance(miss, Miss)
    return await own.cache.fill(miss, CachedBalance(1, b"x" * 400))
