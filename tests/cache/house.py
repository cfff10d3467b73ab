"""Tiers over a real Valkey and a primary that a test holds in its hand; `test_tiers_on_servers.py` has a real one."""

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeVar

from redis.asyncio import Redis

from pipeline.cache.balances import BalanceCache
from pipeline.cache.floors import DayKey
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.servers import Primary
from pipeline.cache.tiers import TieredBalances
from pipeline.metrics import Metrics
from pipeline.settings_serving import CacheSettings
from pipeline.storage.primary import PrimaryDay
from pipeline.storage.values import Balance
from schemas.updates import BalanceUpdate
from tests.support.clocks import HandClock
from tests.support.events import NOON, TODAY

T = TypeVar("T")
_numbers = itertools.count(1)


def balance(version: int, day: date = TODAY, property_id: int = 1) -> Balance:
    return Balance(property_id, day, version, 0, 0, 0, 0, 0, 0, None, 0, 0, None, NOON)


class Open:
    """A guard that lets everything pass."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        self.calls += 1
        return await work()


class Book:
    """The primary: a version of each day. A read sees what is committed when it begins, and may be held on its way."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.versions: dict[DayKey, int] = defaultdict(int)
        self.before: Balance | None = None  # the days that are asked for
        self.reads = 0
        self.error: Exception | None = None
        self.hold = False
        self.waiting: list[asyncio.Event] = []

    async def of_day(self, day: DayKey) -> PrimaryDay:
        self.reads += 1
        version, epoch = self.versions[day], self.epoch
        found = balance(version, day[2], day[1]) if version else None
        newest = found if found is not None else self._newest_before(day)
        if self.hold:
            event = asyncio.Event()
            self.waiting.append(event)
            try:
                await event.wait()
            finally:
                self.waiting.remove(event)
        if self.error is not None:
            raise self.error
        return PrimaryDay(epoch, found, newest)

    def _newest_before(self, day: DayKey) -> Balance | None:
        earlier = [each for each in self.versions if each[:2] == day[:2] and each < day and self.versions[each]]
        return balance(self.versions[max(earlier)], max(earlier)[2], day[1]) if earlier else self.before


class House:
    """Everything that one serving process has, and its own part of the cache."""

    def __init__(self, redis: Redis, primary: Primary | None = None, epoch: str | None = None, **settings: Any) -> None:
        self.redis = redis
        self.clock = HandClock()
        self.metrics = TierMetrics()
        self.book = Book(epoch or f"{os.getpid()}{next(_numbers)}-1")
        self.settings = CacheSettings(**{"refresh_ahead": 0.0} | settings)  # else time alone makes reads
        self.cache = BalanceCache(redis, self.clock, Metrics(), value_ttl_seconds=120)
        self.guards = (Open(), Open())
        self.tiers = TieredBalances(
            self.cache, primary or self.book, *self.guards, self.settings, self.clock, self.metrics
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["House"]:
        """The feed is there, and the epoch is known."""
        self.tiers.feed_back()
        await self.tiers.of_day(9, 9, TODAY)
        try:
            yield self
        finally:
            await self.tiers.aclose()

    def commit(self, version: int, day: date = TODAY, property_id: int = 1) -> None:
        self.book.versions[1, property_id, day] = version

    def hear(self, version: int, day: date = TODAY, *, epoch: str | None = None) -> None:
        self.tiers.noted(self.update(version, day, epoch=epoch))

    def update(self, version: int, day: date = TODAY, *, epoch: str | None = None) -> BalanceUpdate:
        figures = (0, 0, 0, 0, 0, 0, None, 0, 0)
        return BalanceUpdate(1, 1, day, epoch or self.book.epoch, version, *figures, NOON, "event", None)

    async def invalidate(self, version: int, day: date = TODAY) -> None:
        await self.cache.raise_floors(self.book.epoch, {(1, 1): {day: version}})

    async def version(self, day: date = TODAY) -> int:
        read = await self.tiers.of_day(1, 1, day)
        return 0 if read is None else read.version

    async def lose(self) -> None:
        """The server forgets what it has of this house."""
        if keys := [key async for key in self.redis.scan_iter(f"*{self.book.epoch}*")]:
            await self.redis.delete(*keys)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"folio_cache_{name}_total", labels) or 0

    def answers(self) -> dict[str, float]:
        return {tier: self.counted("answers", tier=tier) for tier in ("l1", "redis", "database")}

    async def reads_are_held(self, count: int) -> None:
        """Until so many reads wait in the primary."""
        while len(self.book.waiting) != count:
            await asyncio.sleep(0.0005)
