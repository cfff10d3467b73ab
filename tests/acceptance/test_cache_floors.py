"""A reader that fills the cache while the stream writes: nothing cached is ever older than its floor."""

import asyncio
import time
from datetime import date

from pipeline.app import new_redis
from pipeline.cache.balances import BalanceCache, CachedBalance
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
    """Reads the day's balance from the database and fills the cache with it, late on purpose."""

    def __init__(self, stream: Stream, cache: BalanceCache) -> None:
        self._stream = stream
        self._cache = cache
        self.fills = 0
        self.refused = 0

    async def run(self, stop: asyncio.Event, epoch: str) -> None:
        async with self._stream.database() as connection:
            while not stop.is_set():
                read_at = time.monotonic()
                version = await connection.fetchval(
                    "SELECT version FROM finance.daily_cash_balances_partitioned "
                    "WHERE org_id = $2 AND property_id = 1 AND balance_date = $1",
                    _DAY,
                    _ORG,
                )
                await asyncio.sleep(0.02)  # while we dawdle, the stream commits and invalidates
                if version is not None:
                    filled = await self._cache.fill(epoch, _KEY, _DAY, CachedBalance(version, b"x"), read_at=read_at)
                    self.fills += filled
                    self.refused += not filled


async def test_what_is_cached_is_never_older_than_what_was_invalidated(stream: Stream) -> None:
    settings = RedisSettings()
    redis = new_redis(stream.endpoints.redis_url, settings)
    cache = BalanceCache(redis, SystemClock(), Metrics(), value_ttl_seconds=60, floor_ttl_seconds=600)
    async with stream.database() as connection:
        epoch = await connection.fetchval(
            "SELECT system_identifier::text || '-1' FROM pg_control_system()"  # the first timeline
        )
    stop = asyncio.Event()
    readers = [Reader(stream, cache) for _ in range(4)]
    with stream.worker(BATCH_ROWS_MAX="5") as worker:
        await worker.wait_for_log("lanes claimed")
        reading = [asyncio.create_task(reader.run(stop, epoch)) for reader in readers]
        looks = 0
        for number in range(1, 151, 10):
            await stream.send(
                [(b"%d" % _ORG, encoded(event(n, org=_ORG, amount=n))) for n in range(number, number + 10)]
            )
            await stream.wait_until_consumed(number + 9)
            # Everything committed so far is invalidated: whatever is cached now must be the newest version.
            newest = await _version(stream)
            for _ in range(5):
                cached = await cache.get(epoch, _KEY, _DAY)
                assert cached is None or cached.version >= newest
                looks += cached is not None
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*reading)
        assert await worker.stop() == 0
    await redis.aclose()
    assert sum(reader.fills for reader in readers) > 0
    assert sum(reader.refused for reader in readers) > 0, "the race was never run: nothing stale was on its way"
    assert looks > 0


async def _version(stream: Stream) -> int:
    async with stream.database() as connection:
        return int(
            await connection.fetchval(
                "SELECT version FROM finance.daily_cash_balances_partitioned WHERE org_id = $2 AND balance_date = $1",
                _DAY,
                _ORG,
            )
        )
