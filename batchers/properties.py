"""Properties as the decisions need them: the calendar of each, its currency, and what its first day opens with."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

BEGINNING = datetime.min.replace(tzinfo=UTC)  # from which the first zone holds


@dataclass(frozen=True, slots=True)
class Property:
    """One hotel. `zones` are (valid from, zone), ascending, and never empty."""

    currency: str
    opening_cash_cents: int
    zones: tuple[tuple[datetime, ZoneInfo], ...]

    def balance_date(self, occurred_at: datetime) -> date:
        """The local calendar day at the property."""
        if len(self.zones) == 1:
            return occurred_at.astimezone(self.zones[0][1]).date()
        newest = bisect_right(self.zones, occurred_at, key=lambda zone: zone[0]) - 1
        return occurred_at.astimezone(self.zones[max(newest, 0)][1]).date()


# Most hotels differ in nothing that is kept here: a hundred thousand remembered ones share a few objects.
property_of = lru_cache(maxsize=4096)(Property)


@dataclass(frozen=True, slots=True)
class PropertyDefaults:
    """What a property that nobody loaded is registered with."""

    currency: str
    time_zone: str

    def register(self, currency: str | None) -> Property:
        """The property as its first event makes it."""
        return property_of(currency or self.currency, 0, ((BEGINNING, ZoneInfo(self.time_zone)),))
