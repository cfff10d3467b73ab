"""Instants, ids and events as bytes on the wire, cheaply: one format string instead of a tree of objects."""

from datetime import date
from functools import lru_cache
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
# The hotels are in India, which has one zone and no summer time.
OFFSET_MS: Final = 5 * HOUR_MS + 30 * MINUTE_MS
EVENT_ID_BITS: Final = 74

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MINUTES: Final = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60))
_SECONDS: Final = tuple(f"{second:02d}" for second in range(60))


def midnight_ms(day: date) -> int:
    """The start of the day at the hotels, in milliseconds since 1970 UTC."""
    return day_number(day) * DAY_MS - OFFSET_MS


def local_day(instant_ms: int) -> int:
    """The day at the hotels, as its number since 1970-01-01."""
    return (instant_ms + OFFSET_MS) // DAY_MS


def day_number(day: date) -> int:
    """The number of a day since 1970-01-01."""
    return day.toordinal() - _EPOCH_DAY


def local_hour(instant_ms: int) -> int:
    """The hour of the day at the hotels, 0 to 23."""
    return (instant_ms + OFFSET_MS) % DAY_MS // HOUR_MS


def written_local(instant_ms: int) -> str:
    """RFC 3339 with the hotels' offset, to the second."""
    day, rest = divmod(instant_ms + OFFSET_MS, DAY_MS)
    minute, rest = divmod(rest, MINUTE_MS)
    return f"{written_day(day)}T{_MINUTES[minute]}{_SECONDS[rest // SECOND_MS]}+05:30"


def written_utc(instant_ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    day, rest = divmod(instant_ms, DAY_MS)
    minute, rest = divmod(rest, MINUTE_MS)
    second, milli = divmod(rest, SECOND_MS)
    return f"{written_day(day)}T{_MINUTES[minute]}{_SECONDS[second]}.{milli:03d}Z"


@lru_cache(maxsize=1024)
def written_day(day: int) -> str:
    """A day, by its number since 1970-01-01, as YYYY-MM-DD."""
    return date.fromordinal(day + _EPOCH_DAY).isoformat()


def event_id(instant_ms: int, bits: int) -> str:
    """A UUID of version 7 (RFC 9562) from its instant and 74 random bits."""
    clock = f"{instant_ms:012x}"
    return f"{clock[:8]}-{clock[8:]}-7{bits & 0xFFF:03x}-{(bits >> 12) & 0x3FFF | 0x8000:04x}-{bits >> 26:012x}"
