"""MessagePack and CloudEvents: both decoders must come to one verdict on every record, whatever its form."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import strategies
from tests.oracle.strategies import EXAMPLES, encode
from tests.oracle.test_agrees_with_codec import PATHS, SentHeaders, a_good_one, agree

MESSAGEPACK: SentHeaders = [("content-type", b"application/msgpack")]
CLOUD_EVENT: SentHeaders = [("ce_specversion", b"1.0")]
pack = msgspec.msgpack.encode

# Fewer than of plain JSON: the rules for each field are the same, and the many odd values are listed below.
THOROUGH = settings(max_examples=EXAMPLES // 2, deadline=None)


def packable(event: dict[str, Any]) -> dict[str, Any]:
    """MessagePack has no integers beyond 64 bits."""
    if abs(event["data"].get("nights", 0)) > 2**63 - 1:
        del event["data"]["nights"]
    return event


events = strategies.events.map(packable)


def with_packed(event: dict[str, Any], path: tuple[str, ...], raw: bytes) -> bytes:
    """The event in MessagePack, in which the value at `path` is written as `raw`."""
    holder = event
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = "@@mark@@"
    return pack(event).replace(pack("@@mark@@"), raw, 1)


def with_version_twice(first: bytes, last: bytes) -> bytes:
    good, version = pack(a_good_one()), b"\xa7version"
    return b"\x8a" + good[1:].replace(version + b"\x04", version + first + version + last)


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


ODD_VALUES = [
    *(b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\x00", b"\x01", b"\x7f", b"\xe0", b"\xff", b"\x90", b"\x80", b"\xa0"),
    *(b"\xcc\x05", b"\xcd\x00\x05", b"\xce\x00\x00\x00\x05", b"\xcf" + bytes(7) + b"\x05", b"\xd0\x05"),
    *(
        b"\xd1\x00\x05",
        b"\xd3" + bytes(7) + b"\x05",
        b"\xcf" + b"\xff" * 8,
        b"\xcf\x80" + bytes(7),
        b"\xd3\x80" + bytes(7),
    ),
    *(b"\xcb" + struct.pack(">d", number) for number in (5, 5.5, 1e300, float("nan"), float("inf"), float("-inf"))),
    *(b"\xca" + struct.pack(">f", number) for number in (5, float("nan"), float("-inf"))),
    *(b"\xa1\x00", b"\xa1\xff", b"\xa3\xed\xa0\x80", b"\xa2\xc0\x80", b"\xa3\xe2\x82\xb9", b"\xa2\xe2\x82"),
    *(b"\xd9\x03INR", b"\xda\x00\x03INR", b"\xdb\x00\x00\x00\x03INR", b"\xa3inr", b"\xa4INR\n", b"\xc4\x03INR"),
    *(b"\xd9" + bytes([length]) + b"x" * length for length in (100, 101, 200, 201)),
    *(b"\xda" + struct.pack(">H", length) + b"x" * length for length in (4000, 4001)),
    *(b"\xd6\xff\x69\xf4\x2a\x40", b"\xd7\xff" + bytes(8), b"\xc7\x0c\xff" + bytes(12)),
    *(b"\xd4\x01\x00", b"\xd8\x00" + bytes(16)),
    *(b"\xc4\x10" + bytes(16), b"\xc5\x00\x01x", b"\xc6\x00\x00\x00\x01x", b"\xc7\x00\x05"),
    b"\xc9\x00\x00\x00\x00\x05",
    *(b"\x81\x01\x02", b"\x81\xc4\x01a\x02", b"\x81\xc0\x02", b"\x81\x91\x01\x02"),
    *(b"\x82\xa1a\x01\xa1a\x02", b"\x81\xa1\xff\x01"),
    *(b"\xdc\x00\x01\x05", b"\xdd\x00\x00\x00\x01\x05", b"\xde\x00\x01\xa1a\x05", b"\xdf\x00\x00\x00\x01\xa1a\x05"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b""),
    *(nested(97), nested(98), nested(99), nested(100), nested(5000)),
    *(b"\xdd\xff", b"\x81\xa1a" * 99 + b"\xc0", b"\x81\xa1a" * 50_000),
    *(b"\xac2026-05-01T1", b"\xb42026-05-01T10:00:00Z", b"\xd9\x240190b5a0-0000-7000-8000-000000000001"),
]


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_an_odd_value_in_each_place(path: tuple[str, ...]) -> None:
    for raw in ODD_VALUES:
        agree(with_packed(a_good_one(), path, raw), MESSAGEPACK)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (b"\xc0", "schema"),
        (b"\x90", "schema"),
        (b"\x80", "schema"),
        (pack(a_good_one()), tuple),
        (encode(a_good_one()), "malformed"),  # `{` is the number 123, and something follows
        (b"{", "schema"),
        (pack(a_good_one()) + b"\xc0", "malformed"),
        (pack(a_good_one(org_id="x")) + b"\xc0", "malformed"),
        (pack(a_good_one(org_id="x"))[:-1], "malformed"),
        (pack(a_good_one(org_id="x", trace=msgspec.msgpack.Ext(5, b""))), "malformed"),
        (pack(a_good_one(trace={"a": [1.5, None, {"b": True}]})), tuple),
        (pack(a_good_one(trace={1: 2})), "malformed"),
        (pack(a_good_one(trace=b"raw")), "malformed"),
        (pack(a_good_one(trace=float("nan"))), "malformed"),
        (pack(a_good_one(trace=[2**64 - 1, -(2**63)])), tuple),
        (pack(a_good_one(trace="\0")), tuple),
        (pack(a_good_one(recorded_by={"user_id": 1, "name": "\0"})), "text"),
        (pack(a_good_one(recorded_by={"user_id": 1, "name": "\\u0000"})), tuple),
        (with_version_twice(b"Z", b"\x04"), tuple),
        (with_version_twice(b"\xc0", b"\x04"), "schema"),
        (with_version_twice(b"\x04", b"\xc0"), "schema"),
        (pack(a_good_one(pad="x" * (256 * 1024))), "too_large"),
    ],
)
def test_verdicts(value: bytes | None, reason: str | type) -> None:
    verdict = agree(value, MESSAGEPACK)
    assert verdict == reason if isinstance(reason, str) else isinstance(verdict, reason)


# --- MessagePack in all its variety: every width, every type, names that are none ---

_FORMS = dict(zip("fdBHIQbhiq", range(0xCA, 0xD4), strict=True))


Heads = tuple[tuple[int, str], ...]


def sized(heads: Heads, count: int, content: bytes, width: int) -> bytes:
    """The content behind a head that says its count, in more bytes than it needs where `width` has it so."""
    head, form = heads[width % len(heads)]
    return bytes([head]) + struct.pack(form, count & (256 ** struct.calcsize(form) - 1)) + content


TEXTS = ((0xD9, ">B"), (0xDA, ">H"), (0xDB, ">I"))
BINARIES = ((0xC4, ">B"), (0xC5, ">H"), (0xC6, ">I"))
ARRAYS = ((0xDC, ">H"), (0xDD, ">I"))
MAPS = ((0xDE, ">H"), (0xDF, ">I"))
widths = st.integers(0, 5)

packed_numbers = st.sampled_from("fdBHIQbhiq").flatmap(
    lambda form: st.binary(min_size=struct.calcsize(form), max_size=struct.calcsize(form)).map(
        lambda content: bytes([_FORMS[form]]) + content
    )
)
packed_texts = st.text(max_size=8).map(str.encode) | st.binary(max_size=2) | st.just(b"a")
packed_texts = st.builds(lambda text, width: sized(TEXTS, len(text), text, width), packed_texts, widths)
sixteen_bytes = st.binary(min_size=16, max_size=16)
packed_leaves = (
    st.integers(0, 255).map(lambda byte: bytes([byte]))
    | packed_numbers
    | packed_texts
    | st.builds(lambda raw, width: sized(BINARIES, len(raw), raw, width), st.binary(max_size=3), widths)
    | st.builds(lambda power, raw: bytes([0xD4 + power, 0xFF]) + raw[: 1 << power], st.integers(0, 4), sixteen_bytes)
)
ordinary_leaves = packed_texts | st.sampled_from([b"\xc0", b"\xc2", b"\x05", b"\xcd\x01\x00", pack(1.5), pack("₹")])


def containers(names: st.SearchStrategy[bytes], inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    def of(heads: Heads, content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        contents = st.lists(content, max_size=3)
        return st.builds(lambda all_, width: sized(heads, len(all_), b"".join(all_), width), contents, widths)

    return of(ARRAYS, inner) | of(MAPS, st.tuples(names, inner).map(b"".join))


ordinary = st.recursive(ordinary_leaves, lambda inner: containers(packed_texts, inner), max_leaves=6)
odd = st.recursive(packed_leaves, lambda inner: containers(packed_texts | packed_leaves, inner), max_leaves=6)


@THOROUGH
@given(events, st.sampled_from(PATHS), ordinary | odd)
def test_events_with_another_value_somewhere(event: dict[str, Any], path: tuple[str, ...], raw: bytes) -> None:
    agree(with_packed(event, path, raw), MESSAGEPACK)


@THOROUGH
@given(events)
def test_an_event_is_the_same_in_both_encodings(event: dict[str, Any]) -> None:
    assert agree(pack(event), MESSAGEPACK) == agree(encode(event))


fragments = st.binary(max_size=3) | packed_leaves


@THOROUGH
@given(events, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), fragments), min_size=1, max_size=3))
def test_events_with_bytes_changed(event: dict[str, Any], changes: list[tuple[float, int, bytes]]) -> None:
    value = pack(event)
    for where, dropped, fragment in changes:
        at = int(where * len(value))
        value = value[:at] + fragment + value[at + dropped :]
    agree(value, MESSAGEPACK)


@THOROUGH
@given(st.binary(max_size=60) | odd)
def test_junk(value: bytes) -> None:
    agree(value, MESSAGEPACK)


# --- headers ---


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([("content-type", b"application/json")], tuple),
        ([("Content-Type", b" Application/JSON ; charset=utf-16")], tuple),
        ([("content-type", None)], tuple),
        ([("content-type", b"")], "malformed"),
        ([("content-type", b"text/plain")], "malformed"),
        ([("content-type", b"application/json, text/plain")], "malformed"),
        ([("content-type", b"application/cloudevents+json")], "malformed"),
        ([("content-type", b"\xff")], "malformed"),
        ([("content-type", b"application/json\x85")], "malformed"),
        ([("content-type", b"\x1capplication/json")], "malformed"),
        ([("content-type", b"application/msgpack")], "malformed"),
        ([("content-type", b"text/plain"), ("CONTENT-TYPE", b"application/json")], tuple),
        ([("content-type", b"application/json"), ("content-type", b"text/plain")], "malformed"),
        ([("content-type", b"text/plain"), ("content-type", None)], tuple),
        ([("contenttype", b"text/plain"), ("content_type", b"text/plain")], tuple),
        ([("ce_id", b"x"), ("ce_type", b"y"), ("ce_time", b"z")], tuple),
        ([("ce_specversion", None), ("ce_id", b"x")], tuple),
        ([("ce_specversion", b"1.0")], tuple),
        ([("CE_SpecVersion", b"1.0"), ("CE_Type", b"revenue.approved")], tuple),
        ([("ce_specversion", b"1.0"), ("ce_type", b"revenue.updated")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_type", b"revenue.updated"), ("ce_type", None)], tuple),
        ([("ce_specversion", b"1.0"), ("ce_id", b"0190B5A0000070008000000000000001")], tuple),
        ([("ce_specversion", b"1.0"), ("ce_id", b"0190b5a0-0000-7000-8000-000000000002")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_id", b"7")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_id", b"\xff")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_id", b"")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_time", b"2026-05-01T04:30:00.000Z")], tuple),
        ([("ce_specversion", b"1.0"), ("ce_time", b"2026-05-01T10%3A00%3A00%2B05%3A30")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_time", b"2026-05-01T10:00:00Z")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_time", b"0001-01-01T00:00:00+05:30")], "schema"),
        ([("ce_specversion", b"1.0"), ("ce_orgid", b"9"), ("ce_subject", b"9"), ("ce_dataschema", b"\xff")], tuple),
        ([("ce_specversion", b"0.3")], "schema"),
        ([("ce_specversion", b"")], "schema"),
        ([("ce_specversion", b"0.3"), ("content-type", b"text/plain")], "malformed"),
    ],
)
def test_headers(headers: SentHeaders, reason: str | type) -> None:
    verdict = agree(encode(a_good_one()), headers)
    assert verdict == reason if isinstance(reason, str) else isinstance(verdict, reason)


CARRIED = {"event_id": "ce_id", "type": "ce_type", "occurred_at": "ce_time"}
places = st.sampled_from(["body", "attribute", "both", "differ", "neither", "null in the body"])
other_texts = st.sampled_from(["", "revenue.created", "2026-05-01T10:00:00Z", "0190b5a000007000800000000000000a", "\0"])


def as_cloud_event(
    event: dict[str, Any], where: dict[str, str], other: str
) -> tuple[dict[str, Any], list[tuple[str, bytes | None]]]:
    """The body and the attributes of the event, with each carried field said where it is to be said."""
    body, headers = dict(event), list(CLOUD_EVENT)
    for field, attribute in CARRIED.items():
        if where[field] in ("attribute", "neither"):
            del body[field]
        if where[field] == "null in the body":
            body[field] = None
        if where[field] not in ("body", "neither"):
            headers.append((attribute, (other if where[field] == "differ" else event[field]).encode()))
    return body, headers


@THOROUGH
@given(events, st.fixed_dictionaries(dict.fromkeys(CARRIED, places)), other_texts)
def test_cloud_events(event: dict[str, Any], where: dict[str, str], other: str) -> None:
    body, headers = as_cloud_event(event, where, other)
    verdict = agree(encode(body), headers)
    assert agree(pack(body), [*headers, *MESSAGEPACK]) == verdict
    if set(where.values()) <= {"body", "attribute", "both"}:
        assert verdict == agree(encode(event))
    if {"neither", "null in the body"} & set(where.values()):
        assert verdict == "schema"


def test_a_repeated_field_of_a_cloud_event_counts_by_its_last_value() -> None:
    twice = encode(a_good_one()).replace(b'"type": ', b'"type": "revenue.updated", "type": ')
    assert isinstance(agree(twice, [*CLOUD_EVENT, ("ce_type", b"revenue.approved")]), tuple)
    assert agree(twice, [*CLOUD_EVENT, ("ce_type", b"revenue.updated")]) == "schema"


header_names = st.sampled_from(["content-type", "Content-Type", "ce_specversion", "ce_id", "CE_TYPE", "ce_time", "x"])
header_values = st.sampled_from(
    [None, b"1.0", b"application/json", b"application/x-msgpack;v=1", b"application/vnd.msgpack", b"revenue.approved"]
) | st.binary(max_size=4)


@THOROUGH
@given(st.lists(st.tuples(header_names, header_values), max_size=5), st.booleans(), st.sampled_from(["", *CARRIED]))
def test_headers_of_any_kind(headers: SentHeaders, packed: bool, lacking: str) -> None:
    event = a_good_one()
    event.pop(lacking, None)
    agree(pack(event) if packed else encode(event), headers)
