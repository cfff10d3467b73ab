"""Every way in which a producer can break the contract of events, each with the reason for which it is quarantined.

Each spoils a valid event, so that nothing but the one fault is wrong with it.
"""

import json
import re
from collections.abc import Callable
from typing import Final

from pipeline.simulator.spoiling import (
    Poison,
    Tree,
    no_bytes,
    no_json,
    tombstone,
    too_large,
    truncated,
    with_fields,
    without_field,
    written,
)
from schemas.events import AMOUNT_CENTS_MAX
from schemas.reasons import Reason


def _with_data(**fields: object) -> Callable[[bytes], bytes]:
    def spoil(value: bytes) -> bytes:
        event: Tree = json.loads(value)
        event["data"] |= fields
        return written(event)

    return spoil


def _amount(literal: bytes) -> Callable[[bytes], bytes]:
    """Amounts that JSON libraries would not write by themselves: NaN, 1e400, 12.50."""

    def spoil(value: bytes) -> bytes:
        # The number alone: it may be the last field of its object, and there may be a space before it.
        return re.sub(rb'("amount_cents":\s*)\d+', rb"\g<1>" + literal, value, count=1)

    return spoil


def _status_mismatch(value: bytes) -> bytes:
    event: Tree = json.loads(value)
    event["type"] = event["type"].partition(".")[0] + ".approved"
    event["data"]["status"] = "pending"
    return written(event)


def _bad_utf8(value: bytes) -> bytes:
    # Latin-1 from an old till: the byte E9 opens a sequence that the next byte does not continue.
    head, _, tail = value.partition(b'"description":"')
    return head + b'"description":"caf\xe9 ' + tail


def _lone_surrogate(value: bytes) -> bytes:
    # Not every writer leaves out the space behind the colon.
    return re.sub(rb'"description":\s*"', rb'"description":"\\ud83d ', value, count=1)


def _changed_body(value: bytes) -> bytes:
    event: Tree = json.loads(value)
    cents = event["data"]["amount_cents"]
    event["data"]["amount_cents"] = cents + 100 if cents < AMOUNT_CENTS_MAX else cents - 100
    return written(event)


# Needs the event that it contradicts to be there already: the only one which spoils an event sent before.
CONFLICT: Final = Poison("same_version_other_body", Reason.VERSION_CONFLICT, _changed_body)

CATALOGUE: Final = (
    Poison("truncated", Reason.MALFORMED, truncated),
    Poison("xml", Reason.MALFORMED, no_json),
    Poison("no_bytes", Reason.MALFORMED, no_bytes),
    Poison("bad_utf8", Reason.MALFORMED, _bad_utf8),
    Poison("nan_amount", Reason.MALFORMED, _amount(b"NaN")),
    Poison("lone_surrogate", Reason.MALFORMED, _lone_surrogate),
    Poison("float_amount", Reason.SCHEMA, _amount(b"1250.75")),
    Poison("negative_amount", Reason.SCHEMA, _with_data(amount_cents=-5_000)),
    Poison("zero_amount", Reason.SCHEMA, _with_data(amount_cents=0)),
    Poison("overflowing_amount", Reason.SCHEMA, _with_data(amount_cents=AMOUNT_CENTS_MAX + 1)),
    Poison("huge_amount", Reason.SCHEMA, _with_data(amount_cents=10**30)),
    Poison("amount_as_text", Reason.SCHEMA, _with_data(amount_cents="5000")),
    Poison("missing_org", Reason.SCHEMA, without_field("org_id")),
    Poison("missing_data", Reason.SCHEMA, without_field("data")),
    Poison("null_version", Reason.SCHEMA, with_fields(version=None)),
    Poison("unknown_type", Reason.SCHEMA, with_fields(type="revenue.archived")),
    Poison("unknown_mode", Reason.SCHEMA, _with_data(payment_mode="cheque")),
    Poison("no_offset", Reason.SCHEMA, with_fields(occurred_at="2025-01-31T12:00:00")),
    Poison("nul_in_text", Reason.TEXT, _with_data(description="till\x00two")),
    Poison("approved_but_pending", Reason.STATUS_MISMATCH, _status_mismatch),
    Poison("far_past", Reason.TIME_OUT_OF_BOUNDS, with_fields(occurred_at="1999-12-31T23:59:59Z")),
    Poison("far_future", Reason.TIME_OUT_OF_BOUNDS, with_fields(occurred_at="2999-01-01T00:00:00+05:30")),
    Poison("dollars", Reason.CURRENCY_MISMATCH, _with_data(currency="USD")),
    Poison("tombstone", Reason.EMPTY, tombstone),
    Poison("too_large", Reason.TOO_LARGE, too_large),
    CONFLICT,
)
