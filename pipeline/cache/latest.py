"""What a day without a row stands on: the latest row before it, kept in this process.

A hotel that has not traded yet today is asked for as often as one that has, and the answer hangs on an earlier day: any
update of the property may change it. So what is kept of a property goes with the first update of it that is heard, and
what is being read meanwhile is answered to those who wait, and not kept. Whoever reads a day and finds no row has read
this as well, in the same statement.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Final

from cachetools import TLRUCache

from pipeline.cache.flights import Flights
from pipeline.cache.floors import DayKey
from pipeline.cache.lifetimes import Lifetimes
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.servers import Guarded, Primary
from pipeline.clock import Clock
from pipeline.settings_serving import CacheSettings
from pipeline.storage.primary import PrimaryDay
from pipeline.storage.values import Balance
from schemas.epochs import UNKNOWN, is_past
from schemas.updates import BalanceUpdate

_PropertyKey = tuple[int, int]
# Of one property: who asks for more days than a month has begins anew.
_DAYS_MAX: Final = 31


class _Known:
    """Of one property, by the day that was asked for: what it stands on, and until when (in monotonic seconds)."""

    __slots__ = ("days", "expires_at")

    def __init__(self) -> None:
        self.days: dict[date, tuple[Balance | None, float]] = {}
        self.expires_at = 0.0


class _Reads:
    """Of one property, those under way; void once an update of it was heard meanwhile."""

    __slots__ = ("days", "void")

    def __init__(self) -> None:
        self.days: list[DayKey] = []
        self.void = False


class LatestBalances:
    """Without a lock: one event loop. It hears the updates that the tiers hear.

    `met` tells the tiers which epoch a server is of that answered as the primary; False: of a past one, and nothing of
    it may be kept.
    """

    def __init__(
        self,
        primary: Primary,
        met: Callable[[str], bool],
        database_guard: Guarded,
        settings: CacheSettings,
        clock: Clock,
        metrics: TierMetrics,
    ) -> None:
        self._primary = primary
        self._met = met
        self._database = database_guard
        self._clock = clock
        self._metrics = metrics
        self._lifetimes = Lifetimes(settings.active_ttl_seconds, settings.past_ttl_seconds)
        self._known: TLRUCache[_PropertyKey, _Known] = TLRUCache(
            settings.l1_entries_max, lambda _key, known, _now: known.expires_at, clock.monotonic
        )
        self._flights: Flights[DayKey, Balance | None] = Flights(metrics.flight_waits.inc)
        self._under_way: dict[_PropertyKey, _Reads] = {}
        self._feed_is_here = False
        self._epoch = UNKNOWN

    def knows(self, key: DayKey) -> bool:
        """Whether `before` answers at once."""
        return self._look(key) is not None

    async def before(self, key: DayKey) -> Balance | None:
        """The latest row on or before the day. None: there is none.

        Raises DatabaseUnavailable, or what the database's guard raises.
        """
        kept = self._look(key)
        return kept[0] if kept is not None else await self._flights.fetch(key, lambda: self._fetch(key))

    async def read(self, key: DayKey) -> PrimaryDay:
        """The day from the primary, for whomever; what it stands on is kept where it has no row. Raises as `before`."""
        # A life begins with what is read, not with its arrival.
        expires_at = self._clock.monotonic() + self._lifetimes.of(key[2], self._clock.now())
        with self._reading(key) as reads:
            read = await self._database.call(lambda: self._primary.of_day(key))
        if not self._met(read.epoch):
            return read
        self._is_of(read.epoch)
        if read.balance is None and self._feed_is_here and not reads.void:
            self._keep(key, read.newest, expires_at)
        return read

    def noted(self, update: BalanceUpdate) -> None:
        """Any update of a property voids what is known of it, and of a new epoch what is known at all."""
        if not is_past(update.epoch, self._epoch):
            self._is_of(update.epoch)
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

    async def _fetch(self, key: DayKey) -> Balance | None:
        read = await self.read(key)
        self._metrics.answers.labels("database").inc()
        return read.newest

    @contextmanager
    def _reading(self, key: DayKey) -> Iterator[_Reads]:
        """As long as the block runs, an update of the property makes it void."""
        property_key = key[:2]
        reads = self._under_way.setdefault(property_key, _Reads())
        reads.days.append(key)
        try:
            yield reads
        finally:
            reads.days.remove(key)
            if not reads.days and self._under_way.get(property_key) is reads:
                del self._under_way[property_key]

    def _look(self, key: DayKey) -> tuple[Balance | None, float] | None:
        known = self._known.get(key[:2])
        kept = None if known is None else known.days.get(key[2])
        return kept if kept is not None and self._clock.monotonic() < kept[1] else None

    def _keep(self, key: DayKey, latest: Balance | None, expires_at: float) -> None:
        known = self._known.get(key[:2])
        if known is None or len(known.days) >= _DAYS_MAX:
            known = _Known()
        known.days[key[2]] = (latest, expires_at)
        known.expires_at = max(known.expires_at, expires_at)
        self._known[key[:2]] = known  # put again, for it ends later now

    def _is_of(self, epoch: str) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._forget_all()

    def _forget_all(self) -> None:
        self._known.clear()
        for property_key in list(self._under_way):
            self._void(property_key)

    def _void(self, property_key: _PropertyKey) -> None:
        self._known.pop(property_key, None)
        reads = self._under_way.pop(property_key, None)
        if reads is not None:
            reads.void = True
            for key in reads.days:
                self._flights.close_boarding(key)
