"""The oracle's decoder and the pipeline's share no line, and must come to one verdict on every record."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.oracle import decode, records
from schemas import codec
from schemas.records import Accepted, Origin
from tests.oracle.strategies import APPENDED_AT, FUTURE_MAX, PAST_MAX, THOROUGH, encode, events

SentHeaders = Sequence[tuple[str, bytes | None]]


def verdict_of_pipeline(value: bytes | None, headers: SentHeaders = ()) -> object:
    origin = Origin("finance-events", 3, 7, APPENDED_AT, None, value, tuple(headers))
    judged = codec.judge(origin, codec.Rules(past_max=PAST_MAX, future_max=FUTURE_MAX))
    if not isinstance(judged, Accepted):
        return str(judged.reason)
    event, data = judged.event, judged.event.data
    return (
        (event.org_id, event.aggregate_type, event.aggregate_id, event.version, event.event_id.bytes),
        (event.type, event.property_id, event.occurred_at, event.recorded_by.user_id),
        (data.amount_cents, data.payment_mode, data.status, data.currency),
        (data.category, data.description, data.bank_reference, data.source),
    )


def verdict_of_oracle(value: bytes | None, headers: SentHeaders = ()) -> object:
    rules = records.Rules(0, PAST_MAX, FUTURE_MAX, "INR", "Asia/Kolkata", "register", 8)
    names, values = tuple(name for name, _ in headers), tuple(value for _, value in headers)
    judged = decode.judge(records.Record(3, 7, APPENDED_AT, value, names, values), rules)
    if isinstance(judged, records.Rejected):
        return judged.reason
    content = judged.content
    return (
        (judged.org_id, judged.aggregate_type, judged.aggregate_id, judged.version, judged.event_id),
        (content.type, content.property_id, content.occurred_at, content.user_id),
        (content.amount_cents, content.payment_mode, content.status, content.currency),
        (content.category, content.description, content.bank_reference, content.source),
    )


def agree(value: bytes | None, headers: SentHeaders = ()) -> object:
    theirs, ours = verdict_of_pipeline(value, headers), verdict_of_oracle(value, headers)
    assert ours == theirs, (value, headers)
    return ours


@pytest.mark.parametrize("value", [None, b"{", json.dumps({}).encode(), b" " * (codec.RECORD_BYTES_MAX + 1)])
@given(st.lists(st.binary(max_size=8), max_size=3))
def test_on_the_names_of_headers(value: bytes | None, raw_names: list[bytes]) -> None:
    agree(value, [(name.decode("utf-8", "surrogateescape"), b"") for name in raw_names])


def a_good_one(**changes: Any) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event_id": "0190b5a0-0000-7000-8000-000000000001",
        "type": "revenue.approved",
        "org_id": 1,
        "property_id": 2,
        "aggregate_id": 3,
        "version": 4,
        "occurred_at": "2026-05-01T10:00:00+05:30",
        "recorded_by": {"user_id": 5, "name": "Asha"},
        "data": {"amount_cents": 100, "payment_mode": "cash", "status": "approved", "currency": "INR"},
    }
    return event | changes


PATHS = [
    *((name,) for name in a_good_one()),
    *(("recorded_by", name) for name in ("user_id", "name")),
    *(("data", name) for name in ("amount_cents", "payment_mode", "status", "currency", "category")),
    *(("data", name) for name in ("description", "bank_reference", "source", "unknown")),
    ("unknown",),
    ("data",),
]


def with_raw(path: tuple[str, ...], raw: bytes) -> bytes:
    """A good record in which the value at `path` is written as `raw`."""
    event = a_good_one()
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = "@@"
    return encode(event).replace(b'"@@"', raw)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_a_good_record_is_accepted_by_both() -> None:
    assert isinstance(agree(encode(a_good_one())), tuple)


ODD_VALUES = [
    *(
        b"1.0",
        b"1e2",
        b"-0",
        b"0",
        b"01",
        b"1.",
        b"-",
        b"true",
        b"null",
        b'"1"',
        b'""',
        b"[]",
        b"{}",
        b"[1,]",
    ),
    *(
        b"9223372036854775807",
        b"9223372036854775808",
        b"2147483648",
        b"1000000000001",
        b"1" + b"0" * 6000,
    ),
    *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"nul", b"", b"1 2"),
    *(rb'"\ud800"', rb'"\udc00"', rb'"\ud83d\ude00"', rb'"\ud83dx"', rb'"\ud83d\ud83d\ude00"'),
    *(rb'"\\ud800"', rb'"\u0000"', rb'"\\u0000"', rb'"\x41"', b'"\x00"', b'"\t"', b'"\x7f"'),
    *(
        b'"\xff"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\xe2\x82"',
        '"₹"'.encode(),
        '"\U0001f600"'.encode(),
    ),
    *(b'"' + letter.encode() * length + b'"' for letter in "x\U0001f600" for length in (100, 101, 200, 201, 4001)),
    *(b'"INR"', b'"inr"', rb'"INR\n"', b'"INRX"', '"ÀÀÀ"'.encode()),
    *(nested(90), nested(110), nested(5000), b"[" * 5000),
    *(rb'{"\ud800": 1}', b'{"\xff": 1}', b'{"a": 1, "a": 2}', b'{"amount_cents": 1}'),
]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_an_odd_value_in_each_place(path: tuple[str, ...]) -> None:
    for raw in ODD_VALUES:
        agree(with_raw(path, raw))


@pytest.mark.parametrize(
    "written",
    [
        *("2026-05-01t10:00:00z", "2026-05-01 10:00:00Z", "2026-05-01_10:00:00Z", "2026-05-01T10:00Z"),
        *("2026-05-01T10:00:00", "2026-05-01T24:00:00Z", "2026-05-01T23:59:60Z", "2026-05-01T10:60:00Z"),
        *("2026-05-01T10:00:00+05", "2026-05-01T10:00:00+5:30", "2026-05-01T10:00:00+24:00"),
        *("2026-05-01T10:00:00+05:60", "2026-05-01T10:00:00-0000", "2026-05-01T10:00:00+23:59"),
        *("2026-05-01T10:00:00.Z", "2026-05-01T10:00:00,5Z", "2026-05-01T10:00:00.1234565Z"),
        *("2026-05-01T10:00:00.1234564999Z", "2026-05-01T10:59:59.9999995Z", "2026-05-01T10:00:00.5 Z"),
        *("2026-02-29T10:00:00Z", "2026-00-01T10:00:00Z", "2026-04-31T10:00:00Z", "0000-01-01T00:00:00Z"),
        *("0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59-05:30", "9999-12-31T23:59:59.9999999Z"),
        *("2026-5-1T10:00:00Z", "20260501T100000Z", "2026-05-01", "2026-W18-5T10:00:00Z", "1777593600"),
        *(
            " 2026-05-01T10:00:00Z",
            "2026-05-01T10:00:00Z ",
            "2026-05-01T10:00:00Zx",
            "\N{ARABIC-INDIC DIGIT TWO}026-05-01T10:00:00Z",
        ),
        *("2026-05-02T12:00:00Z", "2026-05-02T12:00:00.000001Z", "2026-05-02T11:59:59.9999995Z"),
        *("2025-03-27T12:00:00Z", "2025-03-27T11:59:59.999999Z", "2025-03-27T11:59:59.9999995Z"),
    ],
)
def test_instants(written: str) -> None:
    agree(encode(a_good_one(occurred_at=written)))


@pytest.mark.parametrize(
    "written",
    [
        *("0190b5a000007000800000000000000a", "0190B5A0-0000-7000-8000-00000000000A"),
        *("{0190b5a0-0000-7000-8000-000000000001}", "urn:uuid:0190b5a0-0000-7000-8000-000000000001"),
        *("0190b5a0-00007000-8000-000000000001", "0190b5a00000-7000-8000-000000000001", "0190b5a0-0000"),
        *("0190b5a0-0000-7000-8000000000000001-", "0190b5a0-0000-7000-8000-00000000000g", ""),
        *("0190b5a0-0000-7000-8000-00000000000\n", "0190b5a0-0000-7000-8000-000000000001\n"),
        *(
            "01_0b5a000007000800000000000000a",
            " 190b5a000007000800000000000000a",
            "\N{ARABIC-INDIC DIGIT ZERO}190b5a000007000800000000000000a",
        ),
    ],
)
def test_event_ids(written: str) -> None:
    agree(encode(a_good_one(event_id=written)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "malformed"),
        (b" ", "malformed"),
        (b"null", "schema"),
        (b"[]", "schema"),
        (b"[1", "malformed"),
        (b"[]x", "malformed"),
        (b"{}", "schema"),
        (b"{", "malformed"),
        (b'{"org_id": "x", ', "malformed"),
        (encode(a_good_one(org_id="x")) + b"x", "malformed"),
        (encode(a_good_one(org_id="x"))[:-2], "malformed"),
        (encode(a_good_one()) + b" \n", tuple),
        (encode(a_good_one()) + b"\x0c", "malformed"),
        (encode(a_good_one()) + b"{}", "malformed"),
        (b"\xef\xbb\xbf" + encode(a_good_one()), "malformed"),
        (json.dumps(a_good_one()).encode("utf-16"), "malformed"),
        (b" " * (256 * 1024 + 1), "too_large"),
        (encode(a_good_one()).ljust(256 * 1024), tuple),
        (encode(a_good_one()).ljust(256 * 1024 + 1), "too_large"),
        (encode(a_good_one()).replace(b'"org_id"', rb'"\u006frg_id"'), tuple),
        (encode(a_good_one()).replace(b'"version": 4', b'"version": "x", "version": 4'), "schema"),
        (encode(a_good_one()).replace(b'"version": 4', b'"version": 4, "version": "x"'), "schema"),
        (encode(a_good_one()).replace(b'"version": 4', b'"version": 9, "version": 4'), tuple),
        (encode(a_good_one()).replace(b'"data": {', b'"data": {}, "data": {'), "schema"),
        (encode(a_good_one()).replace(b'"data": {', b'"data": {"currency": 1, '), "schema"),
        (encode(a_good_one()).replace(b'"data": {', b'"data": {"unknown": 1, "unknown": 2, '), tuple),
        (encode(a_good_one(type="revenue.deleted", occurred_at="1999-01-01T00:00:00Z")), "status_mismatch"),
        (
            encode(a_good_one(recorded_by={"user_id": 1, "name": "\0"}, type="revenue.deleted")),
            "status_mismatch",
        ),
        (
            encode(a_good_one(recorded_by={"user_id": 1, "name": "\0"}, occurred_at="1999-01-01T00:00:00Z")),
            "time_out_of_bounds",
        ),
        (encode(a_good_one(recorded_by={"user_id": 1, "name": "\0"})), "text"),
        (encode(a_good_one(note="\0")), tuple),
    ],
)
def test_verdicts(value: bytes | None, reason: str | type) -> None:
    verdict = agree(value)
    assert verdict == reason if isinstance(reason, str) else isinstance(verdict, reason)


@THOROUGH
@given(events)
def test_valid_events(event: dict[str, Any]) -> None:
    agree(encode(event))
    agree(json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(2**64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@THOROUGH
@given(events, st.sampled_from(PATHS), json_values)
def test_events_with_another_value_somewhere(event: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    agree(encode(event))


@THOROUGH
@given(events, st.sampled_from(PATHS))
def test_events_that_lack_a_field(event: dict[str, Any], path: tuple[str, ...]) -> None:
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    holder.pop(path[-1], None)
    agree(encode(event))


fragments = st.binary(max_size=3) | st.sampled_from(
    [
        b'"',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b",",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"0",
        b"-",
        b"e9",
        b".",
        b"true",
        b"null",
        b"NaN",
        b'"version":1,',
        b'"version":"x",',
        b'"data":{},',
        b"\xff",
        b"\xe2\x82\xb9",
        b"\n",
    ]
)


@THOROUGH
@given(events, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), fragments), min_size=1, max_size=3))
def test_events_with_bytes_changed(event: dict[str, Any], changes: list[tuple[float, int, bytes]]) -> None:
    value = encode(event)
    for where, dropped, fragment in changes:
        at = int(where * len(value))
        value = value[:at] + fragment + value[at + dropped :]
    agree(value)


@THOROUGH
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | json_values.map(encode))
@example(b"\x00")
def test_junk(value: bytes) -> None:
    agree(value)
