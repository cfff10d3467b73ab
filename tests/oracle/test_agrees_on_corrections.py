"""The oracle's decoder of corrections and the pipeline's share no line, and must come to one verdict on every record.

With the verdict they must come to one content hash: by it a repetition is told from a conflict.
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.oracle import records
from pipeline.oracle.content_hash import CORRECTION_HASH_VERSION, correction_hash
from pipeline.oracle.decode_corrections import Correction, judge_correction
from schemas import codec
from schemas import content_hash as pipelines
from schemas.records import AcceptedCorrection, Origin
from tests.oracle.strategies import APPENDED_AT, EXAMPLES, FUTURE_MAX, PAST_MAX, THOROUGH, corrections, encode

# With a fraction of a day in each: the pipeline counts whole days.
BOUNDS = [(PAST_MAX, FUTURE_MAX), (timedelta(days=3, hours=20), timedelta(hours=25))]
Bounds = tuple[timedelta, timedelta]


SentHeaders = Sequence[tuple[str, bytes | None]]


def verdict_of_pipeline(value: bytes | None, bounds: Bounds, headers: SentHeaders = ()) -> object:
    origin = Origin("balance-corrections", 3, 7, APPENDED_AT, None, value, tuple(headers))
    judged = codec.judge_correction(origin, codec.Rules(*bounds))
    if not isinstance(judged, AcceptedCorrection):
        return str(judged.reason)
    correction = judged.correction
    figures, declared = correction.figures, correction.declared_closing_cents
    return (
        (correction.org_id, correction.correction_id.bytes, correction.property_id, correction.balance_date),
        (correction.kind, None if figures is None else msgspec.structs.astuple(figures)),
        (None if declared is msgspec.UNSET else declared, correction.reason),
        (correction.recorded_by.user_id, correction.issued_at, judged.content_hash),
    )


def verdict_of_oracle(value: bytes | None, bounds: Bounds, headers: SentHeaders = ()) -> object:
    rules = records.Rules(0, *bounds, "INR", "Asia/Kolkata", "register", 8)
    names, values = tuple(name for name, _ in headers), tuple(header for _, header in headers)
    judged = judge_correction(records.Record(3, 7, APPENDED_AT, value, names, values), rules)
    if isinstance(judged, records.Rejected):
        return judged.reason
    content = judged.content
    return (
        (judged.org_id, judged.correction_id, content.property_id, content.balance_date),
        (content.kind, content.figures),
        (content.declared_closing_cents, content.reason),
        (content.user_id, content.issued_at, correction_hash(judged)),
    )


def agree(value: bytes | None, headers: SentHeaders = ()) -> object:
    for bounds in BOUNDS[::-1]:
        theirs, ours = verdict_of_pipeline(value, bounds, headers), verdict_of_oracle(value, bounds, headers)
        assert ours == theirs, (value, headers)
    return ours


def a_good_one(**changes: Any) -> dict[str, Any]:
    correction: dict[str, Any] = {
        "correction_id": "0190b5a0-0000-7000-8000-000000000001",
        "org_id": 1,
        "property_id": 2,
        "balance_date": "2026-05-01",
        "kind": "recompute",
        "reason": "counted again",
        "recorded_by": {"user_id": 5, "name": "Asha"},
        "issued_at": "2026-05-01T10:00:00+05:30",
    }
    return correction | changes


STATED = {
    "cash_received_cents": 1,
    "bank_received_cents": 0,
    "cash_expenses_cents": 10**15,
    "bank_expenses_cents": 3,
}
FIGURES = a_good_one(kind="figures", figures=STATED)
DECLARED = a_good_one(kind="declared_closing", declared_closing_cents=-90)
GOOD = {"recompute": a_good_one(), "figures": FIGURES, "declared": DECLARED}


@pytest.mark.parametrize("good", GOOD)
def test_a_good_record_is_accepted_by_both(good: str) -> None:
    assert isinstance(agree(encode(GOOD[good])), tuple)


def test_the_hash_is_of_the_version_that_the_pipeline_stores() -> None:
    assert CORRECTION_HASH_VERSION == pipelines.CORRECTION_HASH_VERSION


SAMPLES = Path(__file__).parents[1] / "samples"
# Hashes of the first release, never to change.
HASHES: dict[str, str] = json.loads((SAMPLES / "correction_hashes.json").read_text())


@pytest.mark.parametrize("name", HASHES)
def test_of_a_sample_the_hash_is_what_it_always_was(name: str) -> None:
    rules = records.Rules(0, timedelta(days=60_000), timedelta(days=60_000), "INR", "Asia/Kolkata", "register", 8)
    value = (SAMPLES / "corrections" / f"{name}.json").read_bytes()
    judged = judge_correction(records.Record(0, 0, APPENDED_AT, value), rules)
    assert isinstance(judged, Correction), judged
    assert correction_hash(judged).hex() == HASHES[name]


PATHS = [
    *((name,) for name in a_good_one()),
    *(("figures",), ("declared_closing_cents",), ("unknown",)),
    *(("recorded_by", name) for name in ("user_id", "name")),
    *(("figures", name) for name in STATED),
]
ODD = [
    *(b"1.0", b"-0", b"0", b"-1", b"true", b"null", b'"1"', b'""', b"[]", b"{}", b"1e2", b"1 2"),
    *(b"1000000000000000", b"1000000000000001", b"-1000000000000000", b"-1000000000000001"),
    *(b"9223372036854775807", b"9223372036854775808", b"1" + b"0" * 6000, b"NaN", b"nul", b""),
    *(rb'"\ud800"', rb'"\u0000"', rb'"\\u0000"', b'"\xff"', '"₹"'.encode(), b'"figures"', b'"declared_closing"'),
    *(b'"' + letter.encode() * length + b'"' for letter in "x\U0001f600" for length in (200, 201, 1000, 1001)),
    *(rb'{"\ud800": 1}', b'{"a": 1, "a": 2}', b'{"user_id": 1, "user_id": "x"}', b"[" * 5000),
]


def with_raw(document: dict[str, Any], path: tuple[str, ...], raw: bytes) -> bytes:
    """The record in which the value at `path` is written as `raw`."""
    changed = json.loads(encode(document))
    holder = changed
    for name in path[:-1]:
        holder = holder.setdefault(name, {})
    holder[path[-1]] = "@@"
    return encode(changed).replace(b'"@@"', raw)


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_an_odd_value_in_each_place(path: tuple[str, ...]) -> None:
    for document in GOOD.values():
        for raw in ODD:
            agree(with_raw(document, path, raw))


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_field_that_is_missing(path: tuple[str, ...]) -> None:
    for document in GOOD.values():
        changed = json.loads(encode(document))
        holder = changed.get(path[0], {}) if len(path) > 1 else changed
        holder.pop(path[-1], None)
        agree(encode(changed))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"figures": None}, tuple),
        ({"figures": STATED}, "schema"),
        ({"declared_closing_cents": None}, tuple),
        ({"declared_closing_cents": 0}, "schema"),
        ({"kind": "figures"}, "schema"),
        ({"kind": "figures", "figures": STATED, "declared_closing_cents": None}, tuple),
        ({"kind": "figures", "figures": STATED, "declared_closing_cents": 5}, "schema"),
        ({"kind": "declared_closing"}, "schema"),
        ({"kind": "declared_closing", "declared_closing_cents": None}, tuple),
        ({"kind": "declared_closing", "declared_closing_cents": 5, "figures": STATED}, "schema"),
        ({"reason": "\0"}, "text"),
        ({"recorded_by": {"user_id": 1, "name": "\0"}}, "text"),
        ({"reason": "\0", "balance_date": "1999-01-01"}, "time_out_of_bounds"),
        ({"reason": "\0", "balance_date": "1999-01-01", "kind": "figures"}, "schema"),
        ({"note": "\0"}, tuple),
    ],
)
def test_verdicts(changes: dict[str, Any], reason: str | type) -> None:
    verdict = agree(encode(a_good_one(**changes)))
    assert verdict == reason if isinstance(reason, str) else isinstance(verdict, reason)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "malformed"),
        (b"null", "schema"),
        (b"{}", "schema"),
        (b"\xef\xbb\xbf" + encode(FIGURES), "malformed"),
        (encode(FIGURES).ljust(256 * 1024), tuple),
        (encode(FIGURES).ljust(256 * 1024 + 1), "too_large"),
        # The last occurrence of a name counts, but each must be valid.
        (encode(FIGURES).replace(b'"kind"', b'"kind": "recompute", "kind"'), tuple),
        (encode(FIGURES).replace(b'"kind"', b'"kind": "other", "kind"'), "schema"),
        (encode(FIGURES).replace(b'"figures": {', b'"figures": null, "figures": {'), tuple),
        (encode(FIGURES).replace(b'"figures": {', b'"figures": {}, "figures": {'), "schema"),
        (encode(FIGURES).replace(b'"figures": {', b'"figures": {"cash_received_cents": "x", '), "schema"),
        (encode(FIGURES)[:-1] + b', "figures": null}', "schema"),
        (encode(DECLARED)[:-1] + b', "declared_closing_cents": null}', tuple),
        (encode(DECLARED)[:-1] + b', "declared_closing_cents": "x"}', "schema"),
        (encode(DECLARED).replace(b'"user_id"', b'"user_id": 0, "user_id"'), "schema"),
    ],
)
def test_whole_records(value: bytes | None, reason: str | type) -> None:
    verdict = agree(value)
    assert verdict == reason if isinstance(reason, str) else isinstance(verdict, reason)


@pytest.mark.parametrize(
    "written",
    [
        *("2026-5-1", "20260501", "2026-W18-5", "2026-05-01T00:00:00Z", "2026-02-29", "2024-02-29", "2026-04-31"),
        *("0000-01-01", "0001-01-01", "9999-12-31", " 2026-05-01", "2026-05-01 ", "2026-05-01\n", "+2026-05-01"),
        *("2026/05/01", "\N{ARABIC-INDIC DIGIT TWO}026-05-01"),
        *((APPENDED_AT.date() + timedelta(days=days)).isoformat() for days in (-402, -401, -5, -4, 2, 3, 4)),
    ],
)
def test_dates(written: str) -> None:
    agree(encode(a_good_one(balance_date=written)))


@pytest.mark.parametrize(
    "written",
    [
        *("0001-01-01T00:00:00+05:30", "9999-12-31T23:59:59-05:30", "9999-12-31T23:59:59.9999999Z"),
        *("2026-05-01T10:00:00.1234565Z", "2026-05-01t10:00:00z", "2026-05-01T10:00:00", "2026-05-01T24:00:00Z"),
        *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2026-05-01T10:00:00+24:00"),
    ],
)
def test_instants(written: str) -> None:
    agree(encode(a_good_one(issued_at=written)))


@pytest.mark.parametrize("value", [None, b"{", encode(FIGURES), b" " * (codec.RECORD_BYTES_MAX + 1)])
@given(st.lists(st.binary(max_size=8), max_size=3))
def test_on_the_names_of_headers(value: bytes | None, raw_names: list[bytes]) -> None:
    agree(value, [(name.decode("utf-8", "surrogateescape"), b"") for name in raw_names])


# --- other forms: what they have in common with events, `test_agrees_on_encodings.py` tries in depth ---

MESSAGEPACK: SentHeaders = [("content-type", b"application/msgpack")]
CLOUD_EVENT: SentHeaders = [("ce_specversion", b"1.0")]


@settings(THOROUGH, max_examples=EXAMPLES // 4)
@given(corrections, st.sampled_from(PATHS), st.none() | st.integers(-1, 2**63 - 1) | st.text(max_size=5))
def test_messagepack(correction: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    plain = agree(encode(correction))
    assert agree(msgspec.msgpack.encode(correction), MESSAGEPACK) == plain
    holder = correction
    for name in path[:-1]:
        holder = holder.setdefault(name, {})
    holder[path[-1]] = value
    assert agree(msgspec.msgpack.encode(correction), MESSAGEPACK) == agree(encode(correction))


ATTRIBUTES = {"correction_id": "ce_id", "issued_at": "ce_time"}


@pytest.mark.parametrize("name", ATTRIBUTES)
@pytest.mark.parametrize("good", GOOD)
def test_a_field_that_an_attribute_carries(name: str, good: str) -> None:
    document = GOOD[good]
    without = {field: value for field, value in document.items() if field != name}
    for written in (document[name], str(document[name]).upper(), "x", "", "0190b5a0000070008000000000000009", "\0"):
        headers = [*CLOUD_EVENT, (ATTRIBUTES[name], written.encode())]
        for body in (without, document, document | {name: None}):
            agree(encode(body), headers)
            agree(msgspec.msgpack.encode(body), [*headers, *MESSAGEPACK])
    whole = agree(encode(document))
    assert agree(encode(without), [*CLOUD_EVENT, (ATTRIBUTES[name], document[name].encode())]) == whole
    assert agree(encode(document), [*CLOUD_EVENT, ("ce_type", b"whatever"), (ATTRIBUTES[name], None)]) == whole
    assert agree(encode(without), CLOUD_EVENT) == "schema"


def test_an_instant_as_an_attribute_agrees_with_the_same_instant_in_another_zone() -> None:
    headers = [*CLOUD_EVENT, ("ce_time", b"2026-05-01T04:30:00Z")]
    assert isinstance(agree(encode(FIGURES), headers), tuple)


@THOROUGH
@given(corrections)
def test_valid_corrections(correction: dict[str, Any]) -> None:
    agree(encode(correction))
    agree(json.dumps(correction, ensure_ascii=False).encode("utf-8", "surrogatepass"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates().map(date.isoformat),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@THOROUGH
@given(corrections, st.sampled_from(PATHS), json_values)
def test_corrections_with_another_value_somewhere(
    correction: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    holder = correction
    for name in path[:-1]:
        holder = holder.setdefault(name, {})
    holder[path[-1]] = value
    agree(encode(correction))


fragments = st.binary(max_size=3) | st.sampled_from(
    [
        *(b'"', b"\\", b"\\u0000", b"\\ud800", b",", b"{", b"}", b"[", b"0", b"-", b"e9", b".", b"null", b"\xff"),
        *(b'"kind":"figures",', b'"figures":null,', b'"declared_closing_cents":1,', b'"org_id":"x",'),
    ]
)


@THOROUGH
@given(corrections, st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), fragments), min_size=1, max_size=3))
def test_corrections_with_bytes_changed(correction: dict[str, Any], changes: list[tuple[float, int, bytes]]) -> None:
    value = encode(correction)
    for where, dropped, fragment in changes:
        at = int(where * len(value))
        value = value[:at] + fragment + value[at + dropped :]
    agree(value)
