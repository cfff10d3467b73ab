"""Balances by tiers: L1 in this process, over Redis, over the primary.

No read answers a version below one that this process had heard of before the read began:

- L1 keeps nothing below a floor (`pipeline.cache.local`).
- Redis may be behind what was heard, for updates and invalidations travel apart: a hit below the floor is made a miss,
  which raises the floor there as well.
- A fetch that began before an update was heard may bring what was before it. Those who asked before it get that; who
  asks afterwards begins another.
- What is read anew ahead of its end is a fetch as any other, that nobody waits for.
- The primary has what was heard of: updates are published after their commit.

What L1 can be behind by, where nothing was heard yet, is in docs/cache.md.
"""

from datetime import date
from typing import Final

from pipeline.cache.balances import FILL_SECONDS_MAX, BalanceCache, CachedBalance, Miss
from pipeline.cache.flights import Flights
from pipeline.cache.floors import DayKey, Floors
from pipeline.cache.latest import LatestBalances
from pipeline.cache.lifetimes import Lifetimes
from pipeline.cache.local import Kept, Life, LocalBalances, Ticket
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.payload import CachedDay, decoded, encoded
from pipeline.cache.servers import Guarded, Primary
from pipeline.clock import Clock
from pipeline.errors import Transient
from pipeline.settings_serving import CacheSettings
from pipeline.storage.values import Balance
from schemas.updates import BalanceUpdate

# Which ends of what Redis has are too early: none for who waits, and all for who must read the primary.
_NONE: Final = float("-inf")
_ALL: Final = float("inf")
_AGEING: Final = "ageing"
# Of the fifty calls to the primary at once: readers who wait come before what nobody waits for. One for which there is
# no room is looked for with the next look.
_REFRESHES_MAX: Final = 8


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
        self._redis = redis_guard
        self._clock = clock
        self._metrics = metrics
        self._lifetimes = Lifetimes(settings.active_ttl_seconds, settings.past_ttl_seconds)
        floors = Floors(settings.floors_max, FILL_SECONDS_MAX + self._lifetimes.longest, clock)
        self._local = LocalBalances(settings, floors, clock, metrics)
        self._flights: Flights[DayKey, Balance | None] = Flights(metrics.flight_waits.inc)
        self._latest = LatestBalances(primary, self._local.met, database_guard, settings, clock, metrics)
        self._refreshing: set[DayKey] = set()
        metrics.floors.set_function(lambda: len(floors))

    async def of_day(self, org_id: int, property_id: int, day: date) -> Balance | None:
        """The day's row. None: it has none, which equals a day on which nothing moved.

        Raises DatabaseUnavailable, or what the database's guard raises; never because of Redis.
        """
        key = (org_id, property_id, day)
        kept = self._local.get(key)
        if kept is None:
            return await self._missed(key)
        self._metrics.answers.labels("l1").inc()
        self._refreshed_when_due(key, kept)
        return kept.day.balance

    async def newest(self, org_id: int, property_id: int, day: date) -> Balance | None:
        """The day's row, or else the latest one before it, as which a day without a row closes. None: there is neither.

        Raises as `of_day`.
        """
        key = (org_id, property_id, day)
        kept = self._local.get(key)
        if kept is None:
            balance = await self._missed(key)
        else:
            balance = kept.day.balance
            self._refreshed_when_due(key, kept)
            if balance is not None or self._latest.knows(key):
                self._metrics.answers.labels("l1").inc()
        return balance if balance is not None else await self._latest.before(key)

    def noted(self, update: BalanceUpdate) -> None:
        """Tell of an update that this process heard: any number of times, in the order of the topic."""
        seconds = self._lifetimes.of(update.balance_date, self._clock.now())
        if self._local.noted(update, seconds):
            self._flights.close_all_boarding()
        else:
            self._flights.close_boarding((update.org_id, update.property_id, update.balance_date))
        self._latest.noted(update)

    def feed_lost(self) -> None:
        """No update is heard any more: L1 is emptied, and passed by until `feed_back`."""
        self._local.feed_lost()
        self._latest.feed_lost()

    def feed_back(self) -> None:
        """Every update that is published from now on will be heard. So it begins, too: with the feed away."""
        self._local.feed_back()
        self._latest.feed_back()

    async def aclose(self) -> None:
        """End the fetches under way; whoever waits for one gets a Transient."""
        await self._flights.aclose()
        await self._latest.aclose()

    async def _missed(self, key: DayKey) -> Balance | None:
        if self._local.feed_is_here:
            self._metrics.misses.labels("l1").inc()
        else:
            self._metrics.bypasses.labels("feed_lost").inc()
        joined = key in self._refreshing
        balance = await self._flights.fetch(key, lambda: self._fetch(key))
        if joined:  # what was begun for nobody is waited for after all
            self._metrics.answers.labels("database").inc()
        return balance

    def _refreshed_when_due(self, key: DayKey, kept: Kept) -> None:
        if len(self._refreshing) < _REFRESHES_MAX and key not in self._refreshing and self._local.due(kept):
            # What an absent day stands on is in this process alone, and comes from the primary.
            ends_after = kept.day.expires_at if kept.day.balance is not None else _ALL
            task = self._flights.begin(key, lambda: self._refresh(key, ends_after))
            if task is not None:
                self._refreshing.add(key)
                task.add_done_callback(lambda _: self._refreshing.discard(key))

    async def _fetch(self, key: DayKey) -> Balance | None:
        """For whoever waits."""
        tier, balance = await self._read(key, _NONE)
        self._metrics.answers.labels(tier).inc()
        return balance

    async def _refresh(self, key: DayKey, ends_after: float) -> Balance | None:
        """For whoever asks next: what Redis has is too old where it ends no later than what is here."""
        tier = "failed"
        try:
            tier, balance = await self._read(key, ends_after)
        finally:
            self._metrics.refreshes.labels(tier).inc()
        return balance

    async def _read(self, key: DayKey, ends_after: float) -> tuple[str, Balance | None]:
        """From Redis, else from the primary, and which it was; what comes is kept where it may be."""
        ticket, epoch = self._local.ticket(), self._local.epoch
        right: Miss | None = None
        if epoch is None:
            self._metrics.bypasses.labels("epoch_unknown").inc()
        else:
            found = await self._ask_redis(epoch, key, ends_after)
            if isinstance(found, CachedDay):
                self._keep(ticket, epoch, key, found)
                return "redis", found.balance
            right = found
        return "database", await self._ask_primary(ticket, epoch, key, right)

    async def _ask_redis(self, epoch: str, key: DayKey, ends_after: float) -> CachedDay | Miss | None:
        """The day, or the right to fill it. None: Redis is away."""
        property_key, day = key[:2], key[2]
        try:
            found = await self._redis.call(lambda: self._cache.get(epoch, property_key, day))
            if isinstance(found, CachedBalance):
                cached = decoded(found.payload)
                refusal = self._refusal(epoch, key, cached, ends_after)
                if cached is not None and refusal is None:
                    return cached
                self._metrics.refusals.labels(refusal).inc()
                if refusal == _AGEING:  # it is good for others until it ends
                    return found.right
                floor = max(found.version, self._local.floors.of(epoch, key))
                found = await self._redis.call(lambda: self._cache.refuse(epoch, property_key, day, floor))
            self._metrics.misses.labels("redis").inc()
        except Transient:
            self._metrics.bypasses.labels("redis_away").inc()
            return None
        return found

    def _refusal(self, epoch: str, key: DayKey, cached: CachedDay | None, ends_after: float) -> str | None:
        """Why what Redis has must not be answered, if it must not."""
        floors = self._local.floors
        if cached is None:
            return "unreadable"
        if cached.version < floors.of(epoch, key):
            return "below_floor"
        if floors.doubtful(epoch, key):
            return "floor_forgotten"
        return _AGEING if cached.expires_at <= ends_after else None

    async def _ask_primary(self, ticket: Ticket, epoch: str | None, key: DayKey, right: Miss | None) -> Balance | None:
        now = self._clock.now()  # before the read: a life begins with what is read, not with its arrival
        read = await self._latest.read(key)
        if not self._local.met(read.epoch):
            self._metrics.bypasses.labels("epoch_past").inc()
            return read.balance
        seconds = self._lifetimes.of(key[2], now)
        cached = CachedDay(now.timestamp() + seconds, read.balance)
        # A miss of the epoch before: what was read belongs under another key.
        if right is not None and read.epoch == epoch:
            await self._fill(right, cached, seconds)
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
        whole = self._lifetimes.of(key[2], now)
        left = cached.expires_at - now.timestamp()
        self._local.keep(ticket, epoch, key, cached, Life(min(left, whole), whole))
