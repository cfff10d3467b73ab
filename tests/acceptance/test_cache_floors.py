"""Readers that fill the cache while the stream writes, and while the cache loses keys: nothing cached is ever older
than what was invalidated.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.cache.balances import BalanceCache, CachedBalance, Miss
from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.metrics import Metrics
from pipeline.settings import RedisSettings
from tests.support.events import NOON, encoded, event
from tests.support.stream import Stream

_DAY: date = NOON.date()
# Streams of other tests share the cache and its epoch, as they share the servers: an organisation of our own.
_ORG = 7_000_001
_KEY = (_ORG, 1)


class Reader:
    """On a miss, reads the day's balance from the database and fills the cache with it, late on purpose."""

    def __init__(self, stream: Stream, cache: BalanceCache) -> None:
        self._stream = stream
        self._cache = cache
        self.fills = 0
        self.refused = 0

    async def run(self, stop: asyncio.Event, epoch: str) -> None:
        async with self._stream.database() as connection:
            while not stop.is_set():
                miss = await self._cache.get(epoch, _KEY, _DAY)
                if isinstance(miss, CachedBalance):
                    await asyncio.sleep(0.002)
                    continue
                version = await connection.fetchval(
                    "SELECT version FROM finance.daily_cash_balances_partitioned "
                    "WHERE org_id = $2 AND property_id = 1 AND balance_date = $1",
                    _DAY,
                    _ORG,
                )
                await asyncio.sleep(0.02)  # while we dawdle, the stream commits and invalidates
                if version is not None:
                    filled = await self._cache.fill(miss, CachedBalance(version, b"x"))
                    self.fills += filled
                    self.refused += not filled


@pytest_asyncio.fixture
async def redis(stream: Stream) -> AsyncIterator[Redis]:
    client = new_redis(stream.endpoints.redis_url, RedisSettings())
    try:
        await lose_keys(client)  # versions begin anew with each database, and an earlier run's floors may still live
        yield client
    finally:
        await client.aclose()


@pytest.fixture
def cache(redis: Redis) -> BalanceCache:
    return BalanceCache(redis, SystemClock(), Metrics(), value_ttl_seconds=60)


async def lose_keys(redis: Redis) -> None:
    """Every key of our organisation, as a flush or a restart would."""
    if keys := [key async for key in redis.scan_iter(f"folio:{{{_ORG}:*", count=10_000)]:
        await redis.delete(*keys)


async def test_what_is_cached_is_never_older_than_what_was_invalidated(stream: Stream, cache: BalanceCache) -> None:
    epoch = await _epoch(stream)
    stop = asyncio.Event()
    readers = [Reader(stream, cache) for _ in range(4)]
    with stream.worker(BATCH_ROWS_MAX="5") as worker:
        await worker.wait_for_log("lanes claimed")
        reading = [asyncio.create_task(reader.run(stop, epoch)) for reader in readers]
        looks = 0
        for number in range(1, 151, 10):
            await _consume(stream, range(number, number + 10))
            # Everything committed so far is invalidated: whatever is cached now must be the newest version.
            newest = await _version(stream)
            for _ in range(5):
                cached = await cache.get(epoch, _KEY, _DAY)
                assert isinstance(cached, Miss) or cached.version >= newest
                looks += isinstance(cached, CachedBalance)
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*reading)
        assert await worker.stop() == 0
    assert sum(reader.fills for reader in readers) > 0
    assert sum(reader.refused for reader in readers) > 0, "the race was never run: nothing stale was on its way"
    assert looks > 0


async def test_a_cache_that_lost_its_keys_takes_nothing_that_was_read_before(
    stream: Stream, redis: Redis, cache: BalanceCache
) -> None:
    epoch = await _epoch(stream)
    with stream.worker() as worker:
        await _consume(stream, range(1, 2))
        slow = await cache.get(epoch, _KEY, _DAY)
        old = await _version(stream)
        await _consume(stream, range(2, 3))
        await lose_keys(redis)
        assert isinstance(slow, Miss)
        assert not await cache.fill(slow, CachedBalance(old, b"old"))
        quick = await cache.get(epoch, _KEY, _DAY)
        new = await _version(stream)
        assert isinstance(quick, Miss)
        assert await cache.fill(quick, CachedBalance(new, b"new"))
        assert not await cache.fill(slow, CachedBalance(old, b"old"))
        assert await cache.get(epoch, _KEY, _DAY) == CachedBalance(new, b"new")
        assert old < new
        assert await worker.stop() == 0


async def _consume(stream: Stream, numbers: range) -> None:
    """Send these events, and wait until they and all before them are committed and invalidated."""
    await stream.send([(b"%d" % _ORG, encoded(event(n, org=_ORG, amount=n))) for n in numbers])
    await stream.wait_until_consumed(numbers.stop - 1)


async def _epoch(stream: Stream) -> str:
    async with stream.database() as connection:
        return str(
            await connection.fetchval(
                "SELECT system_identifier::text || '-1' FROM pg_control_system()"  # the first timeline
            )
        )


async def _version(stream: Stream) -> int:
    async with stream.database() as connection:
        return int(
            await connection.fetchval(
                "SELECT version FROM finance.daily_cash_balances_partitioned WHERE org_id = $2 AND balance_date = $1",
                _DAY,
                _ORG,
            )
        )
