"""Cheap formatting writes what the slow, standard way would write."""

from datetime import UTC, date, datetime, timedelta
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulator.wire import (
    EVENT_ID_BITS,
    day_number,
    event_id,
    local_day,
    local_hour,
    midnight_ms,
    written_day,
    written_local,
    written_utc,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 4_102_444_800_000)


@given(INSTANTS)
def test_instants_are_written_exactly(instant_ms: int) -> None:
    assert datetime.fromisoformat(written_utc(instant_ms)) == EPOCH + timedelta(milliseconds=instant_ms)
    whole = instant_ms // 1_000 * 1_000
    local = datetime.fromisoformat(written_local(instant_ms))
    assert local == EPOCH + timedelta(milliseconds=whole)
    assert local.utcoffset() == timedelta(hours=5, minutes=30)
    assert local.hour == local_hour(instant_ms)


@given(st.dates(date(1971, 1, 1), date(2099, 12, 31)))
def test_midnight_is_that_of_the_hotels(day: date) -> None:
    assert written_local(midnight_ms(day)) == f"{day}T00:00:00+05:30"
    assert written_day(day_number(day)) == day.isoformat()
    assert local_day(midnight_ms(day)) == day_number(day) == local_day(midnight_ms(day) - 1) + 1


@given(INSTANTS, st.integers(0, 2**EVENT_ID_BITS - 1))
def test_event_ids_are_uuids_of_version_7(instant_ms: int, bits: int) -> None:
    uuid = UUID(event_id(instant_ms, bits))
    assert uuid.version == 7
    assert uuid.variant == RFC_4122
    assert uuid.int >> 80 == instant_ms
