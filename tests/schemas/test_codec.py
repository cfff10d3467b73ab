"""A record's bytes become an event or a reason, never an exception, and always the same one."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.encodings import NESTING_MAX
from schemas.events import AGREEING, AMOUNT_CENTS_MAX
from schemas.reasons import MEANING, Reason
from schemas.records import Accepted, Judged, Rejected
from tests.support.events import NOON, RULES, Offsets, encoded, event

APPENDED_AT = Offsets().appended_at


def judged(value: bytes | None) -> Judged:
    return Offsets().record(value)


def with_(path: str, value: object) -> bytes:
    body = event()
    *outer, last = path.split(".")
    place: dict[str, Any] = body
    for name in outer:
        place = place[name]
    place[last] = value
    return encoded(body)


def reason_of(value: bytes | None) -> Reason | None:
    record = judged(value)
    return record.reason if isinstance(record, Rejected) else None


def test_a_good_event_is_accepted_with_its_key_and_its_bytes() -> None:
    body = encoded(event(5, org=3, kind="expense"))
    record = judged(body)
    assert isinstance(record, Accepted)
    assert record.key == (3, "expense", 5)
    assert record.origin.value == body


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY),
        (b"", Reason.MALFORMED),
        (b"null", Reason.SCHEMA),
        (b"[]", Reason.SCHEMA),
        (b"{}", Reason.SCHEMA),
        (b'{"a": 1', Reason.MALFORMED),
        (b'{"a": NaN}', Reason.MALFORMED),
        (b"\xef\xbb\xbf{}", Reason.MALFORMED),
        (b'{"a": "\xff"}', Reason.MALFORMED),
        (b'{"a": "\\ud800"}', Reason.MALFORMED),
        (b'{"a": "\x00"}', Reason.MALFORMED),
        (encoded(event()) + b"{}", Reason.MALFORMED),
        (b"[" * 100_000, Reason.MALFORMED),
        (b" " * (codec.RECORD_BYTES_MAX + 1), Reason.TOO_LARGE),
    ],
)
def test_what_is_no_event_is_refused_for_its_reason(value: bytes | None, reason: Reason) -> None:
    assert reason_of(value) is reason


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event_id", "no uuid"),
        ("type", "revenue.paid"),
        ("org_id", 0),
        ("org_id", 2**63),
        ("org_id", "1"),
        ("org_id", 1.0),
        ("org_id", True),
        ("property_id", -1),
        ("aggregate_id", None),
        ("version", 0),
        ("version", 2**31),
        ("occurred_at", "2026-03-10T12:00:00"),
        ("occurred_at", "2026-02-30T12:00:00Z"),
        ("occurred_at", 1773144000),
        ("recorded_by", None),
        ("recorded_by.user_id", 0),
        ("recorded_by.name", "x" * 201),
        ("data.amount_cents", 0),
        ("data.amount_cents", -1),
        ("data.amount_cents", AMOUNT_CENTS_MAX + 1),
        ("data.amount_cents", 10.5),
        ("data.payment_mode", "card"),
        ("data.status", "open"),
        ("data.currency", "inr"),
        ("data.currency", "INRX"),
        ("data.currency", "INR\n"),
        ("data.description", "x" * 4001),
        ("data.source", 7),
    ],
)
def test_a_field_outside_its_range_is_refused_and_named(path: str, value: object) -> None:
    record = judged(with_(path, value))
    assert isinstance(record, Rejected)
    assert record.reason is Reason.SCHEMA
    assert path.partition(".")[0] in record.detail


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("org_id", 2**63 - 1),
        ("version", 2**31 - 1),
        ("data.amount_cents", AMOUNT_CENTS_MAX),
        ("data.description", "x" * 4000),
        ("data.description", "व" * 4000),
        ("data.category", ""),
        ("recorded_by.name", None),
        ("future_field", {"deep": [1, 2, {"x": None}]}),
    ],
)
def test_the_last_value_of_each_range_is_accepted(path: str, value: object) -> None:
    assert reason_of(with_(path, value)) is None


def test_a_record_of_exactly_the_largest_size_is_accepted() -> None:
    body = encoded(event())
    padding = b" " * (codec.RECORD_BYTES_MAX - len(body))
    assert reason_of(body + padding) is None
    assert reason_of(body + padding + b" ") is Reason.TOO_LARGE


@pytest.mark.parametrize("kind", ["revenue", "expense"])
@pytest.mark.parametrize("verb", ["created", "updated", "approved", "rejected", "deleted"])
@pytest.mark.parametrize("status", ["pending", "approved", "rejected", "deleted"])
def test_type_and_status_agree_or_the_event_is_refused(kind: str, verb: str, status: str) -> None:
    agrees = {
        "created": ("pending", "approved"),
        "updated": ("pending", "approved", "rejected"),
        "approved": ("approved",),
        "rejected": ("rejected",),
        "deleted": ("deleted",),
    }
    expected = None if status in agrees[verb] else Reason.STATUS_MISMATCH
    assert reason_of(encoded(event(kind=kind, verb=verb, status=status))) is expected
    assert ((f"{kind}.{verb}", status) in AGREEING) == (expected is None)


@pytest.mark.parametrize(
    ("distance", "accepted"),
    [
        (RULES.future_max, True),
        (RULES.future_max + timedelta(microseconds=1), False),
        (-RULES.past_max, True),
        (-RULES.past_max - timedelta(microseconds=1), False),
    ],
)
def test_occurred_at_is_judged_by_its_distance_from_the_append_time(distance: timedelta, accepted: bool) -> None:
    reason = reason_of(encoded(event(at=APPENDED_AT + distance)))
    assert reason is (None if accepted else Reason.TIME_OUT_OF_BOUNDS)


def test_the_verdict_on_time_does_not_hang_on_now() -> None:
    lane = Offsets(appended_at=NOON.replace(year=2001))
    assert isinstance(lane.record(encoded(event(at=NOON.replace(year=2001)))), Accepted)
    assert isinstance(lane.record(encoded(event(at=NOON))), Rejected)


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_the_calendar_are_out_of_bounds_and_no_error(written: str) -> None:
    assert reason_of(with_("occurred_at", written)) in (Reason.TIME_OUT_OF_BOUNDS, Reason.SCHEMA)


@pytest.mark.parametrize(
    "field", ["recorded_by.name", "data.category", "data.description", "data.bank_reference", "data.source"]
)
def test_nul_in_any_text_is_refused_and_the_field_named(field: str) -> None:
    record = judged(with_(field, "Room\x00 7"))
    assert isinstance(record, Rejected)
    assert (record.reason, record.detail) == (Reason.TEXT, f"NUL in text - at `$.{field}`")


def test_nul_that_is_not_stored_as_text_is_accepted() -> None:
    assert reason_of(with_("data.description", "a literal \\u0000")) is None
    assert reason_of(with_("unknown", "\x00")) is None  # kept as the record's bytes only


def test_nesting_has_a_bound_of_its_own() -> None:
    def nested(depth: int) -> bytes:
        return encoded(event())[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"

    assert reason_of(nested(NESTING_MAX - 1)) is None
    assert reason_of(nested(NESTING_MAX)) is Reason.MALFORMED
    brackets_in_text = with_("data.description", "[" * 500 + '\\"{')
    assert reason_of(brackets_in_text) is None


def test_every_reason_has_its_meaning() -> None:
    assert MEANING.keys() == set(Reason)
    assert all(meaning.endswith(".") for meaning in MEANING.values())


junk = st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5
).map(lambda value: json.dumps(value).encode())


@settings(deadline=None)
@given(junk)
def test_junk_is_refused_without_an_exception(value: bytes) -> None:
    record = judged(value)
    assert isinstance(record, Rejected)
    assert 0 < len(record.detail) <= 500


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_a_damaged_event_is_judged_without_an_exception(place: int, bytes_: bytes) -> None:
    body = encoded(event(description="Zimmer \\ ✓"))
    judged(body[:place] + bytes_ + body[place + len(bytes_) :])


def test_an_unterminated_string_full_of_quotes_is_judged_in_no_time() -> None:
    # Read in square time, this record would hold the event loop for minutes, and every worker after the first.
    value = b"[" * 101 + b'"' + b'\\"' * 120_000
    started = time.process_time()
    verdict = judged(value)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is Reason.MALFORMED
    assert time.process_time() - started < 2, "far above what it takes, far below minutes"
