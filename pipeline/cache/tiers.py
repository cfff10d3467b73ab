"""Balances by tiers: L1 in this process, over Redis, over the primary.

No read answers a version below one that this process had heard of before the read began:

- L1 keeps nothing below a floor (`pipeline.cache.local`).
- Redis may be behind what was heard, for updates and invalidations travel apart: a hit below the floor is made a miss,
  which raises the floor there as well.
- A fetch that began before an update was heard may bring what was before it. Those who asked before it get that; who
  asks afterwards begins another.
- The primary has what was heard of: updates are published after their commit.

What L1 can be behind by, where nothing was heard yet, is in docs/cache.md.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Protocol, TypeVar

from pipeline.cache.balances import FILL_SECONDS_MAX, BalanceCache, CachedBalance, Miss
from pipeline.cache.flights import Flights
from pipeline.cache.floors import DayKey, Floors
from pipeline.cache.lifetimes import Lifetimes
from pipeline.cache.local import LocalBalances, Ticket
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.payload import CachedDay, decoded, encoded
from pipeline.clock import Clock
from pipeline.errors import Transient
from pipeline.settings_serving import CacheSettings
from pipeline.storage.primary import PrimaryDay
from pipeline.storage.values import Balance
from schemas.updates import BalanceUpdate

T = TypeVar("T")


class Guarded(Protocol):
    """What stands before a server: a bulkhead, a breaker, a bound on time."""

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns. Raises what it raises, or a Transient instead of running it."""
        ...


class Primary(Protocol):
    """Where misses are filled from: `pipeline.storage.primary.PrimaryBalances`."""

    async def of_day(self, day: DayKey) -> PrimaryDay: ...


class TieredBalances:
    """The day of a property, from the nearest tier that may answer."""

    def __init__(
        self,
        cache: BalanceCache,
        primary: Primary,
        redis_guard: Guarded,
        database_guard: Guarded,
        settings: CacheSettings,
        clock: Clock,
        metrics: TierMetrics,
    ) -> None:
        self._cache = cache
        self._primary = primary
        self._redis = redis_guard
        self._database = database_guard
        self._clock = clock
        self._metrics = metrics
        self._lifetimes = Lifetimes(settings.active_ttl_seconds, settings.past_ttl_seconds)
        floors = Floors(settings.floors_max, FILL_SECONDS_MAX + self._lifetimes.longest, clock)
        self._local = LocalBalances(settings.l1_entries_max, floors, clock, metrics)
        self._flights: Flights[DayKey, Balance | None] = Flights(metrics.flight_waits.inc)
        metrics.floors.set_function(lambda: len(floors))

    async def of_day(self, org_id: int, property_id: int, day: date) -> Balance | None:
        """The day's row. None: it has none, which equals a day on which nothing moved.

        Raises DatabaseUnavailable, or what the database's guard raises; never because of Redis.
        """
        key = (org_id, property_id, day)
        kept = self._local.get(key)
        if kept is not None:
            self._metrics.answers.labels("l1").inc()
            return kept.balance
        if self._local.feed_is_here:
            self._metrics.misses.labels("l1").inc()
        else:
            self._metrics.bypasses.labels("feed_lost").inc()
        return await self._flights.fetch(key, lambda: self._fetch(key))

    def noted(self, update: BalanceUpdate) -> None:
        """Tell of an update that this process heard: any number of times, in the order of the topic."""
        seconds = self._lifetimes.of(update.balance_date, self._clock.now())
        if self._local.noted(update, seconds):
            self._flights.close_all_boarding()
        else:
            self._flights.close_boarding((update.org_id, update.property_id, update.balance_date))

    def feed_lost(self) -> None:
        """No update is heard any more: L1 is emptied, and passed by until `feed_back`."""
        self._local.feed_lost()

    def feed_back(self) -> None:
        """Every update that is published from now on will be heard. So it begins, too: with the feed away."""
        self._local.feed_back()

    async def aclose(self) -> None:
        """End the fetches under way; whoever waits for one gets a Transient."""
        await self._flights.aclose()

    async def _fetch(self, key: DayKey) -> Balance | None:
        """From Redis, else from the primary; what comes is kept where it may be."""
        ticket, epoch = self._local.ticket(), self._local.epoch
        miss: Miss | None = None
        if epoch is None:
            self._metrics.bypasses.labels("epoch_unknown").inc()
        else:
            found = await self._ask_redis(epoch, key)
            if isinstance(found, CachedDay):
                self._metrics.answers.labels("redis").inc()
                self._keep(ticket, epoch, key, found)
                return found.balance
            miss = found
        return await self._read(ticket, epoch, key, miss)

    async def _ask_redis(self, epoch: str, key: DayKey) -> CachedDay | Miss | None:
        """The day, or the right to fill it. None: Redis is away."""
        property_key, day = key[:2], key[2]
        try:
            found = await self._redis.call(lambda: self._cache.get(epoch, property_key, day))
            if isinstance(found, CachedBalance):
                cached = decoded(found.payload)
                refusal = self._refusal(epoch, key, cached)
                if cached is not None and refusal is None:
                    return cached
                self._metrics.refusals.labels(refusal).inc()
                floor = max(found.version, self._local.floors.of(epoch, key))
                found = await self._redis.call(lambda: self._cache.refuse(epoch, property_key, day, floor))
            self._metrics.misses.labels("redis").inc()
        except Transient:
            self._metrics.bypasses.labels("redis_away").inc()
            return None
        return found

    def _refusal(self, epoch: str, key: DayKey, cached: CachedDay | None) -> str | None:
        """Why what Redis has must not be answered, if it must not."""
        floors = self._local.floors
        if cached is None:
            return "unreadable"
        if cached.version < floors.of(epoch, key):
            return "below_floor"
        return "floor_forgotten" if floors.doubtful(epoch, key) else None

    async def _read(self, ticket: Ticket, epoch: str | None, key: DayKey, miss: Miss | None) -> Balance | None:
        now = self._clock.now()  # before the read: a life begins with what is read, not with its arrival
        read = await self._database.call(lambda: self._primary.of_day(key))
        self._metrics.answers.labels("database").inc()
        if not self._local.met(read.epoch):
            self._metrics.bypasses.labels("epoch_past").inc()
            return read.balance
        seconds = self._lifetimes.of(key[2], now)
        cached = CachedDay(now.timestamp() + seconds, read.balance)
        # A miss of the epoch before: what was read belongs under another key.
        if miss is not None and read.epoch == epoch:
            await self._fill(miss, cached, seconds)
        self._keep(ticket, read.epoch, key, cached)
        return read.balance

    async def _fill(self, miss: Miss, cached: CachedDay, seconds: int) -> None:
        balance = CachedBalance(cached.version, encoded(cached))
        try:
            await self._redis.call(lambda: self._cache.fill(miss, balance, seconds))
        except Transient:
            self._metrics.bypasses.labels("redis_away").inc()

    def _keep(self, ticket: Ticket, epoch: str, key: DayKey, cached: CachedDay) -> None:
        """In L1, for what is left of its life; by our own clock for no longer than it would get now."""
        now = self._clock.now()
        left = cached.expires_at - now.timestamp()
        self._local.keep(ticket, epoch, key, cached, min(left, self._lifetimes.of(key[2], now)))
