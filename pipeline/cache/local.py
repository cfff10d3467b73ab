"""L1: the days that this process asked for last, kept in it, under the floors that it was told of.

Three things can be wrong with an entry, and each has its answer:

- It is older than an update that was heard. `noted` raises the floor and puts what the update says, which is every
  figure of the day, in the place of an older entry; `keep` refuses what comes below the floor. All of it runs on one
  event loop without a pause between look and change, so a fill that was on its way comes either before the update, and
  is replaced by it, or after, and is refused. So a day that is asked for stays here, however often it changes.
- Its floor was forgotten while the fill was on its way, because there were too many. A fill therefore has a ticket from
  before it read anything; one that was issued before a floor was forgotten keeps only days whose floor is known whole.
- It is of another history, or updates may have passed unheard. Then everything goes, and earlier tickets are void.

Nothing is kept or answered while the feed of updates is away, and it is away until `feed_back` is called.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cachetools import TLRUCache

from pipeline.cache.floors import DayKey, Floors
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.payload import CachedDay, balance_of
from pipeline.clock import Clock
from pipeline.settings_serving import CacheSettings
from schemas.epochs import is_past
from schemas.updates import BalanceUpdate


class Life(NamedTuple):
    """Of a day, in seconds: what is left of it, of so much."""

    left: float
    whole: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to keep what is read from now on."""

    generation: int
    forgotten: int


@dataclass(slots=True)
class Kept:
    """A day, and when (in monotonic seconds) it must be read anew, and may be."""

    day: CachedDay
    expires_at: float
    refresh_at: float


class _Entries(TLRUCache[DayKey, Kept]):
    """Least recently used goes first, and says so."""

    def __init__(self, most: int, clock: Clock, metrics: TierMetrics) -> None:
        super().__init__(most, lambda _key, entry, _now: entry.expires_at, clock.monotonic)
        self._metrics = metrics

    def popitem(self) -> tuple[DayKey, Kept]:
        self._metrics.l1_evictions.inc()
        return super().popitem()


class LocalBalances:
    """Days of the current epoch. Without a lock: one event loop, and no await within."""

    def __init__(self, settings: CacheSettings, floors: Floors, clock: Clock, metrics: TierMetrics) -> None:
        self._clock = clock
        self._refresh_ahead = settings.refresh_ahead
        self._metrics = metrics
        self._entries = _Entries(settings.l1_entries_max, clock, metrics)
        self._generation = 0
        self.floors = floors
        self.epoch: str | None = None  # not known yet, or not any more: the primary tells
        self.feed_is_here = False
        metrics.l1_entries.set_function(lambda: len(self._entries))

    def get(self, key: DayKey) -> Kept | None:
        return self._entries.get(key)

    def due(self, kept: Kept) -> bool:
        """Whether to read it anew, though it may still be answered. Once in its life: a failure is not repeated."""
        if self._clock.monotonic() < kept.refresh_at:
            return False
        kept.refresh_at = kept.expires_at
        return True

    def ticket(self) -> Ticket:
        return Ticket(self._generation, self.floors.forgotten)

    def keep(self, ticket: Ticket, epoch: str, key: DayKey, day: CachedDay, life: Life) -> bool:
        """Keep what was read under the ticket for what is left of its life; False: it may be older than is known."""
        if not self.feed_is_here or epoch != self.epoch or ticket.generation != self._generation or life.left <= 0:
            return False
        if day.version < self.floors.of(epoch, key):
            return False
        if ticket.forgotten != self.floors.forgotten and self.floors.doubtful(epoch, key):
            return False
        before = self.get(key)
        if before is not None and before.day.version > day.version:
            return False
        self._put(key, day, life)
        return True

    def noted(self, update: BalanceUpdate, seconds: float) -> bool:
        """An update was heard, which may be kept so long. True: it was of another epoch, and L1 is empty now."""
        if self.epoch is not None and is_past(update.epoch, self.epoch):
            return False
        key = (update.org_id, update.property_id, update.balance_date)
        self.floors.told(update.epoch, key, update.version)
        if self.epoch is not None and update.epoch != self.epoch:
            self._empty("epoch")
            # A later timeline of the same system is the newest known; of two systems only the primary knows.
            self.epoch = update.epoch if is_past(self.epoch, update.epoch) else None
            return True
        before = self.get(key)
        if before is not None and before.day.version < update.version:
            day = CachedDay(self._clock.now().timestamp() + seconds, balance_of(update))
            self._put(key, day, Life(seconds, seconds))
            self._metrics.l1_invalidations.inc()
        return False

    def met(self, epoch: str) -> bool:
        """A server answered as the primary of this epoch. False: of one that is past, and nothing of it may be kept."""
        if self.epoch is not None and is_past(epoch, self.epoch):
            return False
        if self.epoch not in (None, epoch):
            self._empty("epoch")
        self.epoch = epoch
        return True

    def feed_lost(self) -> None:
        self.feed_is_here = False
        self._empty("feed_lost")

    def feed_back(self) -> None:
        self._empty("feed_back")
        self.feed_is_here = True

    def _put(self, key: DayKey, day: CachedDay, life: Life) -> None:
        expires_at = self._clock.monotonic() + life.left
        self._entries[key] = Kept(day, expires_at, expires_at - self._refresh_ahead * life.whole)

    def _empty(self, reason: str) -> None:
        self._metrics.l1_emptied.labels(reason).inc()
        self._entries.clear()
        self._generation += 1
