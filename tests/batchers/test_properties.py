"""A property's calendar: the business day of an instant, in the zone that was in force."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from batchers.properties import BEGINNING, Property, PropertyDefaults

KOLKATA, LISBON = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Lisbon")
MOVED = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_day_is_the_local_one_not_the_day_in_utc() -> None:
    property_ = PropertyDefaults("INR", "Asia/Kolkata").register(None)
    assert property_.balance_date(datetime(2026, 3, 10, 18, 29, 59, tzinfo=UTC)) == date(2026, 3, 10)
    assert property_.balance_date(datetime(2026, 3, 10, 18, 30, tzinfo=UTC)) == date(2026, 3, 11)


def test_the_offset_in_which_an_instant_was_written_does_not_move_its_day() -> None:
    property_ = PropertyDefaults("INR", "Asia/Kolkata").register(None)
    written = datetime.fromisoformat("2026-03-11T03:30:00+09:00")  # 00:00 in India
    assert property_.balance_date(written) == date(2026, 3, 11)
    assert property_.balance_date(written - timedelta(microseconds=1)) == date(2026, 3, 10)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (MOVED - timedelta(microseconds=1), date(2026, 3, 1)),  # still 05:30 in India
        (MOVED, date(2026, 3, 1)),  # 00:00 in Lisbon
        (MOVED - timedelta(hours=5), date(2026, 3, 1)),  # 00:30 in India
        (MOVED + timedelta(hours=19), date(2026, 3, 1)),  # in India it would be the 2nd
        (MOVED - timedelta(days=400), date(2025, 1, 25)),
    ],
)
def test_a_zone_holds_from_its_instant_on(at: datetime, day: date) -> None:
    property_ = Property("INR", 0, ((BEGINNING, KOLKATA), (MOVED, LISBON)))
    assert property_.balance_date(at) == day


def test_an_instant_before_the_first_zone_takes_the_first() -> None:
    property_ = Property("INR", 0, ((MOVED, KOLKATA), (MOVED + timedelta(days=1), LISBON)))
    assert property_.balance_date(MOVED - timedelta(hours=3)) == date(2026, 3, 1)


def test_daylight_saving_is_followed() -> None:
    property_ = Property("EUR", 0, ((BEGINNING, LISBON),))
    assert property_.balance_date(datetime(2026, 7, 1, 23, 30, tzinfo=UTC)) == date(2026, 7, 2)
    assert property_.balance_date(datetime(2026, 1, 1, 23, 30, tzinfo=UTC)) == date(2026, 1, 1)


def test_a_property_that_nobody_loaded_takes_the_currency_of_its_first_event_or_the_default() -> None:
    defaults = PropertyDefaults("INR", "Europe/Lisbon")
    assert defaults.register("USD") == Property("USD", 0, ((BEGINNING, LISBON),))
    assert defaults.register(None).currency == "INR"
