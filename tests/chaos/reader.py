"""Somebody who reads balances all the while, through the cache: what nobody reads, no invalidation has to protect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Final

import asyncpg
from redis.asyncio import Redis

import sql
from bench.workload import business_day
from pipeline.cache.balances import BalanceCache, CachedBalance, Miss
from pipeline.clock import SystemClock
from pipeline.errors import CacheUnavailable
from pipeline.metrics import Metrics
from schemas.records import PropertyKey
from tests.chaos.nodes import Node
from tests.chaos.promises import PromiseBroken
from tests.chaos.records import ORGS, PROPERTIES_PER_ORG

_PAUSE_SECONDS: Final = 0.01
_TROUBLED_SECONDS: Final = 0.2
_LAST_READ_SECONDS_MAX: Final = 15.0
_TROUBLES: Final = (CacheUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_VERSION: Final = """
    SELECT version FROM finance.daily_cash_balances_partitioned
    WHERE org_id = $1 AND property_id = $2 AND balance_date = $3
"""


class Reader:
    """Reads today's balances of properties drawn by chance, and caches what it had to ask the database for."""

    def __init__(self, seed: int, cache: Redis, primary: Callable[[], Node], database: str) -> None:
        self._chance = Random(f"reader {seed}")
        self._redis = cache
        self._cache = BalanceCache(cache, SystemClock(), Metrics(), value_ttl_seconds=600)
        self._primary = primary
        self._database = database
        self._read: set[PropertyKey] = set()
        self._reading: asyncio.Task[None] | None = None
        self._over = False

    def begin(self) -> None:
        self._over = False
        self._reading = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Read no more."""
        # Told, not cancelled alone: a cancellation that meets the end of a driver's own wait may be swallowed there.
        self._over = True
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=_LAST_READ_SECONDS_MAX)
            self._reading.cancel()
            self._reading = None

    async def close(self) -> None:
        await self.end()
        with contextlib.suppress(*_TROUBLES):
            await self._redis.aclose()

    async def check(self) -> None:
        """Once all is drained: nothing that is cached is behind the books. Raises PromiseBroken."""
        async with self._connected() as (connection, epoch):
            for key in self._read:
                cached = await self._cache.get(epoch, key, business_day())
                newest = await connection.fetchval(_VERSION, *key, business_day())
                if isinstance(cached, CachedBalance) and cached.version != newest:
                    raise PromiseBroken(f"version {cached.version} of {key} is cached, and the books have {newest}")

    async def _run(self) -> None:
        while not self._over:
            with contextlib.suppress(*_TROUBLES):
                async with self._connected() as (connection, epoch):
                    while not self._over:
                        await self._one(connection, epoch)
                        await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(_TROUBLED_SECONDS)

    async def _one(self, connection: asyncpg.Connection, epoch: str) -> None:
        org = self._chance.randint(1, ORGS)
        key = (org, org * 100 + self._chance.randint(1, PROPERTIES_PER_ORG))
        found = await self._cache.get(epoch, key, business_day())
        self._read.add(key)
        if isinstance(found, Miss):
            version = await connection.fetchval(_VERSION, *key, business_day(), timeout=5)
            if version is not None:
                await self._cache.fill(found, CachedBalance(version, b"read"))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncpg.Connection, str]]:
        """Past the link, to whoever is the primary by now."""
        async with self._primary().connected(self._database) as connection:
            yield connection, await connection.fetchval(sql.query("cluster_epoch"))
