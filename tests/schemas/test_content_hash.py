"""The content hash stands for what an event says, and for nothing beside it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.content_hash import HASH_BYTES, content_hash
from schemas.events import FinanceEvent
from schemas.instants import instant_of
from tests.support.events import event

BODY = event(
    5, 2, amount=100, currency="INR", category="room", description="Room 7", bank_reference="ref", source="pos"
)
_decode = msgspec.json.Decoder(FinanceEvent).decode


def hash_of(body: dict[str, Any]) -> bytes:
    return content_hash(_decode(json.dumps(body)))


def changed(path: str, value: object) -> dict[str, Any]:
    """BODY with another value at one place."""
    body: dict[str, Any] = json.loads(json.dumps(BODY))
    *outer, last = path.split(".")
    place = body
    for name in outer:
        place = place[name]
    place[last] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "expense.updated"),
        ("type", "revenue.approved"),
        ("org_id", 2),
        ("property_id", 2),
        ("aggregate_id", 6),
        ("version", 3),
        ("occurred_at", "2026-03-10T12:00:00.000001Z"),
        ("recorded_by.user_id", 8),
        ("data.amount_cents", 101),
        ("data.payment_mode", "bank"),
        ("data.status", "pending"),
        ("data.currency", None),
        ("data.currency", "USD"),
        ("data.category", "Room"),
        ("data.category", None),
        ("data.category", ""),
        ("data.description", "Room 7 "),
        ("data.bank_reference", "Ref"),
        ("data.source", "web"),
    ],
)
def test_every_field_of_the_list_counts(path: str, value: object) -> None:
    assert hash_of(changed(path, value)) != hash_of(BODY)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event_id", "0190a5c8-0000-7000-8000-000000000001"),
        ("recorded_by.name", "Ravi"),
        ("recorded_by.name", None),
        ("occurred_at", "2026-03-10T17:30:00+05:30"),
        ("occurred_at", "2026-03-10T12:00:00.000Z"),
        ("unknown", {"field": 1}),
        ("data.unknown", [1, 2]),
    ],
)
def test_nothing_else_counts(path: str, value: object) -> None:
    assert hash_of(changed(path, value)) == hash_of(BODY)


def test_absent_is_null() -> None:
    without = changed("data.category", None)
    absent = json.loads(json.dumps(without))
    del absent["data"]["category"]
    assert hash_of(absent) == hash_of(without)


def test_the_order_and_the_spacing_of_the_record_do_not_count() -> None:
    turned = dict(reversed(BODY.items()))
    assert content_hash(_decode(json.dumps(turned, indent=3))) == hash_of(BODY)


def test_text_cannot_flow_from_one_field_into_the_next() -> None:
    shifted = changed("data.category", "roomRoom 7")
    shifted["data"]["description"] = ""
    assert hash_of(shifted) != hash_of(BODY)


def test_json_and_messagepack_of_one_event_hash_alike() -> None:
    packed = msgspec.msgpack.Decoder(FinanceEvent).decode(msgspec.msgpack.encode(BODY))
    assert content_hash(packed) == hash_of(BODY)


def test_it_has_128_bits_and_never_changes() -> None:
    """The value of the first release; stored hashes were made with it."""
    assert len(hash_of(BODY)) == HASH_BYTES == 16
    assert hash_of(BODY).hex() == "ccdf987d7f14b1a6789956be6e8e6b15"


def test_an_unknown_version_of_the_hash_is_an_error() -> None:
    with pytest.raises(KeyError):
        content_hash(_decode(json.dumps(BODY)), 99)


@given(st.integers(-(2**51), 2**52), st.integers(-840, 840), st.integers(-840, 840))
def test_an_instant_counts_in_exact_microseconds_whatever_its_offset(microseconds: int, one: int, other: int) -> None:
    instant = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    written = [instant.astimezone(timezone(timedelta(minutes=minutes))) for minutes in (one, other)]
    assert [instant_of(each) for each in written] == [microseconds, microseconds]
