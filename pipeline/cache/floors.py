"""The versions that this process was told of: nothing older may be answered from a cache.

A floor protects only as long as something older can be in Redis: a fill takes `FILL_SECONDS_MAX` at most, and what it
brought lives as long as the longest life of a balance. So a floor may be forgotten after the two together. One that
has to go sooner, because there are too many, leaves a doubt behind for the rest of that time: of a day without a floor
it is then not known whether there was one, and Redis is not believed about it. Exact, bounded, and paid for by reads
of the database when the bound is too small; never by an old answer.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date

from pipeline.clock import Clock

DayKey = tuple[int, int, date]  # org_id, property_id, balance_date


@dataclass(frozen=True, slots=True)
class _Floor:
    version: int
    told_at: float  # monotonic seconds
    whole: bool  # no higher one of this day can have been forgotten


class Floors:
    """By epoch and day, the highest version that was told; the ones told last are kept."""

    def __init__(self, most: int, needed_seconds: float, clock: Clock) -> None:
        self._most = most
        self._needed_seconds = needed_seconds
        self._clock = clock
        self._floors: OrderedDict[tuple[str, DayKey], _Floor] = OrderedDict()
        self._doubtful_until = float("-inf")
        self.forgotten = 0  # how many floors were, while they were still needed

    def __len__(self) -> int:
        return len(self._floors)

    def told(self, epoch: str, day: DayKey, version: int) -> None:
        """The floor rises to the version, or stays where it is higher."""
        now, key = self._clock.monotonic(), (epoch, day)
        before = self._floors.pop(key, None)
        if before is None:
            self._floors[key] = _Floor(version, now, whole=now >= self._doubtful_until)
        else:
            self._floors[key] = _Floor(max(before.version, version), now, before.whole)
        while len(self._floors) > self._most:
            self._forget_the_oldest(now)

    def of(self, epoch: str, day: DayKey) -> int:
        """0: none is known."""
        floor = self._floors.get((epoch, day))
        return 0 if floor is None else floor.version

    def doubtful(self, epoch: str, day: DayKey) -> bool:
        """Whether a floor of this day may have been forgotten that is above what `of` says."""
        if self._clock.monotonic() >= self._doubtful_until:
            return False
        floor = self._floors.get((epoch, day))
        return floor is None or not floor.whole

    def _forget_the_oldest(self, now: float) -> None:
        _, floor = self._floors.popitem(last=False)
        needed_until = floor.told_at + self._needed_seconds
        if needed_until > now:
            self.forgotten += 1
            self._doubtful_until = max(self._doubtful_until, needed_until)
