"""What a day without a row stands on: the latest row before it, kept in this process.

A hotel that has not traded yet today is asked for as often as one that has, and the answer hangs on an earlier day: any
update of the property may change it. So what is kept of a property goes with the first update of it that is heard, and
what is being read meanwhile is answered to those who wait, and not kept.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Final

from cachetools import TLRUCache

from pipeline.cache.flights import Flights
from pipeline.cache.floors import DayKey
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.tiers import Guarded
from pipeline.clock import Clock
from pipeline.settings_serving import CacheSettings
from pipeline.storage.values import Balance
from schemas.epochs import UNKNOWN
from schemas.updates import BalanceUpdate

ReadLatest = Callable[[int, int, date], Awaitable[Balance | None]]
_PropertyKey = tuple[int, int]
# Of one property, within its short life: who asks for more days than a year has begins anew.
_DAYS_MAX: Final = 366


class _Known:
    """Of one property, by the day that was asked for."""

    __slots__ = ("days", "expires_at")

    def __init__(self, expires_at: float) -> None:
        self.days: dict[date, Balance | None] = {}
        self.expires_at = expires_at


class _Reading:
    """The days of one property that are being read; void once an update of it was heard meanwhile."""

    __slots__ = ("keys", "void")

    def __init__(self) -> None:
        self.keys: set[DayKey] = set()
        self.void = False


class LatestBalances:
    """Without a lock: one event loop. It hears the updates that the tiers hear."""

    def __init__(
        self, read: ReadLatest, database_guard: Guarded, settings: CacheSettings, clock: Clock, metrics: TierMetrics
    ) -> None:
        self._read = read
        self._database = database_guard
        self._clock = clock
        self._metrics = metrics
        self._seconds = settings.active_ttl_seconds
        self._known: TLRUCache[_PropertyKey, _Known] = TLRUCache(
            settings.l1_entries_max, lambda _key, known, _now: known.expires_at, clock.monotonic
        )
        self._flights: Flights[DayKey, Balance | None] = Flights(metrics.flight_waits.inc)
        self._reading: dict[_PropertyKey, _Reading] = {}
        self._feed_is_here = False
        self._epoch = UNKNOWN

    async def before(self, org_id: int, property_id: int, day: date) -> Balance | None:
        """The latest row on or before the day. None: there is none.

        Raises DatabaseUnavailable, or what the database's guard raises.
        """
        known = self._known.get((org_id, property_id))
        if known is not None and day in known.days:
            self._metrics.answers.labels("l1").inc()
            return known.days[day]
        key = (org_id, property_id, day)
        return await self._flights.fetch(key, lambda: self._fetch(key))

    def noted(self, update: BalanceUpdate) -> None:
        """Any update of a property voids what is known of it, and of another epoch what is known at all."""
        if update.epoch != self._epoch:
            self._epoch = update.epoch
            self._forget_all()
        else:
            self._void((update.org_id, update.property_id))

    def feed_lost(self) -> None:
        self._feed_is_here = False
        self._forget_all()

    def feed_back(self) -> None:
        self._forget_all()
        self._feed_is_here = True

    async def aclose(self) -> None:
        """End the reads under way; whoever waits for one gets a Transient."""
        await self._flights.aclose()

    def _forget_all(self) -> None:
        self._known.clear()
        for property_key in list(self._reading):
            self._void(property_key)

    def _void(self, property_key: _PropertyKey) -> None:
        self._known.pop(property_key, None)
        reading = self._reading.pop(property_key, None)
        if reading is not None:
            reading.void = True
            for key in reading.keys:
                self._flights.close_boarding(key)

    async def _fetch(self, key: DayKey) -> Balance | None:
        org_id, property_id, day = key
        property_key = (org_id, property_id)
        reading = self._reading.setdefault(property_key, _Reading())
        reading.keys.add(key)
        try:
            latest = await self._database.call(lambda: self._read(org_id, property_id, day))
        finally:
            reading.keys.discard(key)
            if not reading.keys and self._reading.get(property_key) is reading:
                del self._reading[property_key]
        self._metrics.answers.labels("database").inc()
        if self._feed_is_here and not reading.void:
            self._keep(property_key, day, latest)
        return latest

    def _keep(self, property_key: _PropertyKey, day: date, latest: Balance | None) -> None:
        known = self._known.get(property_key)
        if known is None or len(known.days) >= _DAYS_MAX:
            known = self._known[property_key] = _Known(self._clock.monotonic() + self._seconds)
        known.days[day] = latest
