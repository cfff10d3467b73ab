"""How long a cached day lives: shortly while it may be today somewhere, longer once it is past everywhere."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

# The zone furthest behind UTC, 12 hours, is the last in which a day ends. Whoever asks names a property, and its zone
# would have to be read, from the database that the cache is there to spare: for some hours after its midnight a
# property's yesterday lives as short as today does, which costs a few reads and can show nothing that is wrong.
_LAST_ZONE: Final = timedelta(hours=-12)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds that a cached day lives."""

    active_seconds: int
    past_seconds: int

    def of(self, day: date, now: datetime) -> int:
        return self.active_seconds if may_be_active(day, now) else self.past_seconds

    @property
    def longest(self) -> int:
        return max(self.active_seconds, self.past_seconds)


def may_be_active(day: date, now: datetime) -> bool:
    """Whether `day` is today or later in some zone; `now` in UTC."""
    return day >= (now + _LAST_ZONE).date()
