"""Which trace an event belongs to: W3C Trace Context, read strictly, and never a reason to refuse an event."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import judge
from schemas.records import Accepted, Headers, Origin
from schemas.traceparent import ids_of, is_sampled, traceparent_of
from tests.support.events import NOON, RULES, encoded, event

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OURS = f"00-{TRACE}-{SPAN}-01"
OTHER = f"00-{'1' * 32}-{'2' * 16}-00"


def carried(written: str, name: str = "traceparent") -> str | None:
    return traceparent_of(((name, written.encode()),))


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TRACEPARENT"])
def test_a_valid_one_is_carried_as_it_is(name: str) -> None:
    assert carried(OURS, name) == OURS
    assert ids_of(OURS) == (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    "invalid",
    [
        "",
        "00",
        OURS.upper(),
        OURS[:-1],
        OURS + "0",
        OURS + "-00",  # version 00 says nothing more
        OURS + "\n",
        " " + OURS,
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01.more",
    ],
)
def test_one_that_is_not_valid_counts_as_absent(invalid: str) -> None:
    assert carried(invalid) is None


@pytest.mark.parametrize("later", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"])
def test_a_later_version_is_read_as_far_as_we_know_it_and_carried_as_ours(later: str) -> None:
    assert carried(later) == OURS


@pytest.mark.parametrize(
    ("flags", "kept", "sampled"), [("00", "00", False), ("01", "01", True), ("02", "02", False), ("ff", "03", True)]
)
def test_flags_that_nobody_knows_yet_are_not_passed_on(flags: str, kept: str, sampled: bool) -> None:
    found = carried(f"00-{TRACE}-{SPAN}-{flags}")
    assert found == f"00-{TRACE}-{SPAN}-{kept}"
    assert is_sampled(found) is sampled


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ((), None),
        ((("content-type", b"application/json"),), None),
        ((("traceparent", None),), None),
        ((("traceparent", b"\xff"),), None),
        ((("\udcff", b"x"), ("traceparent", OURS.encode())), OURS),
        ((("traceparent", OTHER.encode()), ("traceparent", OURS.encode())), OURS),
        ((("ce_specversion", b"1.0"), ("ce_traceparent", OURS.encode())), OURS),
        ((("ce_specversion", b"1.0"), ("CE_TraceParent", OURS.encode())), OURS),
        ((("ce_traceparent", OURS.encode()),), None),  # no CloudEvent: its attributes do not count
        ((("ce_specversion", b"1.0"), ("ce_traceparent", OTHER.encode()), ("traceparent", OURS.encode())), OURS),
        ((("ce_specversion", b"1.0"), ("ce_traceparent", OURS.encode()), ("traceparent", b"broken")), OURS),
    ],
)
def test_which_header_counts(headers: Headers, found: str | None) -> None:
    assert traceparent_of(headers) == found


@given(st.binary(max_size=70) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.?").map(str.encode))
def test_whatever_a_producer_writes_the_event_is_accepted(written: bytes) -> None:
    headers = (("traceparent", written), ("ce_traceparent", written))
    record = judge(Origin("t", 0, 0, NOON, b"1", encoded(event()), headers), RULES)
    assert isinstance(record, Accepted)
    found = traceparent_of(record.origin.headers)
    assert found is None or re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", found)
