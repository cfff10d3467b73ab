"""One event has one verdict and one hash in every form: JSON or MessagePack, plain or as a CloudEvent."""

import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from schemas.codec import RECORD_BYTES_MAX, judge, judge_correction
from schemas.encodings import NESTING_MAX
from schemas.reasons import Reason
from schemas.records import Accepted, AcceptedCorrection, Headers, Origin, Rejected
from schemas.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS
from tests.support.events import RULES, Offsets, correction, encoded, event

MESSAGEPACK: Headers = (("content-type", b"application/msgpack"),)
JSON: Headers = (("content-type", b"application/json; charset=utf-8"),)
CLOUD_EVENT: Headers = (("ce_specversion", b"1.0"), ("ce_source", b"/front-desk"), ("traceparent", b"00-1-2-01"))
pack = msgspec.msgpack.encode
Body = dict[str, Any]


def judged(value: bytes, headers: Headers) -> Accepted | Rejected:
    return judge(Origin(FINANCE_EVENTS, 0, 0, Offsets().appended_at, b"1", value, headers), RULES)


def judged_correction(value: bytes, headers: Headers) -> AcceptedCorrection | Rejected:
    origin = Origin(BALANCE_CORRECTIONS, 0, 0, Offsets().appended_at, b"1", value, headers)
    return judge_correction(origin, RULES)


def in_attributes(body: Body, **carried: str) -> tuple[Body, Headers]:
    """The body without the fields that its attributes carry."""
    left = {name: value for name, value in body.items() if name not in carried}
    return left, (*CLOUD_EVENT, *((attribute, body[name].encode()) for name, attribute in carried.items()))


def forms(body: Body, **carried: str) -> list[tuple[bytes, Headers]]:
    """The same content in each form; as a CloudEvent with the whole body, and without what attributes carry."""
    left, attributes = in_attributes(body, **carried)
    return [
        (encoded(body), ()),
        (encoded(body), JSON),
        (pack(body), MESSAGEPACK),
        (encoded(body), attributes),
        (encoded(left), attributes),
        (encoded(left), (*attributes, *JSON)),
        (pack(body), (*attributes, *MESSAGEPACK)),
        (pack(left), (*attributes, *MESSAGEPACK)),
    ]


@pytest.mark.parametrize(
    "body",
    [
        event(5, org=3, kind="expense", description="₹ Zimmer \\ 7", currency="INR"),
        event(6) | {"future_field": {"deep": [1.5, None, {"x": True}]}},
    ],
)
def test_an_event_is_one_in_every_form(body: Body) -> None:
    plain = judged(encoded(body), ())
    assert isinstance(plain, Accepted)
    for value, headers in forms(body, event_id="ce_id", type="ce_type", occurred_at="ce_time"):
        verdict = judged(value, headers)
        assert isinstance(verdict, Accepted), verdict
        assert (verdict.event, verdict.key, verdict.content_hash) == (plain.event, plain.key, plain.content_hash)
        assert (verdict.origin.value, verdict.origin.headers) == (value, headers), "kept as it came"


@pytest.mark.parametrize(
    "body", [correction(figures=(1, 2, 3, 4)), correction(declared=None), correction(declared=90), correction()]
)
def test_a_correction_is_one_in_every_form(body: Body) -> None:
    plain = judged_correction(encoded(body), ())
    assert isinstance(plain, AcceptedCorrection)
    for value, headers in forms(body, correction_id="ce_id", issued_at="ce_time"):
        verdict = judged_correction(value, (*headers, ("ce_type", b"balance.corrected")))
        assert isinstance(verdict, AcceptedCorrection), verdict
        assert (verdict.correction, verdict.content_hash) == (plain.correction, plain.content_hash)


def test_what_a_kind_of_correction_needs_it_needs_as_a_cloud_event_too() -> None:
    body = correction() | {"kind": "figures"}
    left, attributes = in_attributes(body, correction_id="ce_id", issued_at="ce_time")
    plain, verdict = judged_correction(encoded(body), ()), judged_correction(encoded(left), attributes)
    assert isinstance(plain, Rejected)
    assert isinstance(verdict, Rejected)
    assert plain.reason is verdict.reason is Reason.SCHEMA
    assert "$.figures" in verdict.detail


@pytest.mark.parametrize("form", [encoded, pack])
def test_nul_is_found_in_both_encodings(form: Callable[[Body], bytes]) -> None:
    headers = MESSAGEPACK if form is pack else ()
    verdict = judged(form(event(description="Room\x00 7")), headers)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.detail) == (Reason.TEXT, "NUL in text - at `$.data.description`")
    body = correction() | {"reason": "a\x00b"}
    refused = judged_correction(form(body), headers)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.TEXT


@pytest.mark.parametrize(
    ("headers", "reason", "named"),
    [
        ((("content-type", b"text/plain"),), Reason.MALFORMED, ["text/plain", "application/json", "vnd.msgpack"]),
        ((("Content-Type", b"\xff" * 600),), Reason.MALFORMED, ["application/json"]),
        (
            (("content-type", b"application/cloudevents+json; charset=UTF-8"),),
            Reason.MALFORMED,
            ["binary mode", "ce_"],
        ),
        ((("ce_specversion", b"0.3"),), Reason.SCHEMA, ["ce_specversion", "1.0"]),
        ((*CLOUD_EVENT, ("ce_id", b"42")), Reason.SCHEMA, ["ce_id", "UUID"]),
        ((*CLOUD_EVENT, ("ce_id", b"\xff")), Reason.SCHEMA, ["ce_id"]),
        ((*CLOUD_EVENT, ("ce_type", b"com.example.revenue.created")), Reason.SCHEMA, ["ce_type"]),
        ((*CLOUD_EVENT, ("ce_type", b"expense.created")), Reason.SCHEMA, ["ce_type", "$.type"]),
        ((*CLOUD_EVENT, ("ce_time", b"2026-03-10T12:00:01Z")), Reason.SCHEMA, ["ce_time", "$.occurred_at"]),
    ],
)
def test_what_headers_say_wrongly_is_named(headers: Headers, reason: Reason, named: list[str]) -> None:
    verdict = judged(encoded(event()), headers)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason
    assert all(name in verdict.detail for name in named), verdict.detail
    assert len(verdict.detail) <= 500


def test_a_field_that_neither_body_nor_attribute_has_is_named_in_both() -> None:
    verdict = judged(encoded(in_attributes(event(), event_id="")[0]), CLOUD_EVENT)
    assert isinstance(verdict, Rejected)
    assert "$.event_id" in verdict.detail
    assert "ce_id" in verdict.detail


def test_org_and_amount_come_from_the_body_alone() -> None:
    body = event()
    del body["org_id"]
    verdict = judged(encoded(body), (*CLOUD_EVENT, ("ce_orgid", b"1"), ("ce_org_id", b"1")))
    assert isinstance(verdict, Rejected)
    assert "org_id" in verdict.detail


@pytest.mark.parametrize(("depth", "accepted"), [(NESTING_MAX - 1, True), (NESTING_MAX, False), (5000, False)])
def test_the_bound_on_nesting_hangs_not_on_the_callers_stack(depth: int, accepted: bool) -> None:
    value = pack(event() | {"x": 0}).replace(pack("x") + b"\x00", pack("x") + b"\x91" * depth + b"\xc0")

    def deep_in_the_stack(frames: int) -> bool:
        return deep_in_the_stack(frames - 1) if frames else isinstance(judged(value, MESSAGEPACK), Accepted)

    assert deep_in_the_stack(0) is accepted
    assert deep_in_the_stack(sys.getrecursionlimit() // 2) is accepted


@pytest.mark.parametrize(("opening", "closing"), [(b'{"":', b"}"), (b"[", b"]"), (b'[{"":', b"}]")])
@pytest.mark.parametrize(("beyond", "reason"), [(-1, None), (1, Reason.MALFORMED), (5000, Reason.MALFORMED)])
def test_json_nests_as_deep_as_its_bound_in_objects_and_in_arrays(
    opening: bytes, closing: bytes, beyond: int, reason: Reason | None
) -> None:
    """The event itself is one level. The shortest levels there are: what clears short records must not clear these."""
    levels = NESTING_MAX - 1 + beyond
    repeated, odd = divmod(levels, opening.count(b"[") + opening.count(b"{"))
    nested = b"[" * odd + opening * repeated + b"0" + closing * repeated + b"]" * odd
    verdict = judged(encoded(event())[:-1] + b',"x":' + nested + b"}", ())
    assert (verdict.reason if isinstance(verdict, Rejected) else None) is reason


@pytest.mark.parametrize(("opening", "closing"), [(b'{"":', b"}"), (b"[", b"]")])
@pytest.mark.parametrize(
    ("levels", "reason"), [(NESTING_MAX, Reason.SCHEMA), (NESTING_MAX + 1, Reason.MALFORMED)], ids=["at", "beyond"]
)
def test_what_is_nothing_but_levels_is_counted_however_short_it_is(
    opening: bytes, closing: bytes, levels: int, reason: Reason
) -> None:
    verdict = judged(opening * levels + b"0" + closing * levels, ())
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason
    cut_off = judged(opening * levels, ())
    assert isinstance(cut_off, Rejected)
    assert cut_off.reason is Reason.MALFORMED


@pytest.mark.parametrize("head", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"])
@pytest.mark.parametrize("filling", [b"\x00", b"\x91\x00", b"\xa0", b""])
def test_a_size_that_nothing_follows_costs_neither_time_nor_memory(head: bytes, filling: bytes) -> None:
    value = (head + filling * RECORD_BYTES_MAX)[:RECORD_BYTES_MAX]
    for whole in (value, (b"\x81\xa1x" + value)[:RECORD_BYTES_MAX]):
        started = time.process_time()
        verdict = judged(whole, MESSAGEPACK)
        assert isinstance(verdict, Rejected)
        assert verdict.reason is Reason.MALFORMED
        assert time.process_time() - started < 2, "far above what it takes"


def test_json_that_claims_to_be_messagepack_is_not_believed() -> None:
    for value, headers in ((encoded(event()), MESSAGEPACK), (pack(event()), JSON), (pack(event()), ())):
        verdict = judged(value, headers)
        assert isinstance(verdict, Rejected)
        assert verdict.reason is Reason.MALFORMED
