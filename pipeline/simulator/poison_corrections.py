"""Every way in which an accountant's tool can break the contract of corrections, each with its reason.

Each spoils the count of a drawer, so that nothing but the one fault is wrong with it.
"""

import json
from typing import Final

from pipeline.simulator.spoiling import (
    Poison,
    Tree,
    no_bytes,
    tombstone,
    too_large,
    truncated,
    with_fields,
    without_field,
    written,
)
from schemas.corrections import FIGURE_CENTS_MAX
from schemas.reasons import Reason


def _bad_utf8(value: bytes) -> bytes:
    # Latin-1 from an old spreadsheet: the byte E9 opens a sequence that the next byte does not continue.
    head, _, tail = value.partition(b'"reason":"')
    return head + b'"reason":"caf\xe9 ' + tail


def _changed_body(value: bytes) -> bytes:
    correction: Tree = json.loads(value)
    correction["reason"] += ", corrected"
    return written(correction)


# Needs the correction that it contradicts to be there already: the only one which spoils one that was sent before.
CONFLICT: Final = Poison("same_id_other_body", Reason.CORRECTION_CONFLICT, _changed_body)

CATALOGUE: Final = (
    Poison("truncated", Reason.MALFORMED, truncated),
    Poison("no_bytes", Reason.MALFORMED, no_bytes),
    Poison("bad_utf8", Reason.MALFORMED, _bad_utf8),
    Poison("count_as_text", Reason.SCHEMA, with_fields(declared_closing_cents="90,000")),
    Poison("fractions_of_cents", Reason.SCHEMA, with_fields(declared_closing_cents=90_000.5)),
    Poison("overflowing_count", Reason.SCHEMA, with_fields(declared_closing_cents=FIGURE_CENTS_MAX + 1)),
    Poison("missing_count", Reason.SCHEMA, without_field("declared_closing_cents")),
    Poison("missing_reason", Reason.SCHEMA, without_field("reason")),
    Poison("empty_reason", Reason.SCHEMA, with_fields(reason="")),
    Poison("number_for_an_id", Reason.SCHEMA, with_fields(correction_id="4711")),
    Poison("unknown_kind", Reason.SCHEMA, with_fields(kind="closing")),
    Poison("count_that_restates", Reason.SCHEMA, with_fields(kind="figures")),
    Poison("day_first", Reason.SCHEMA, with_fields(balance_date="31/01/2025")),
    Poison("nul_in_reason", Reason.TEXT, with_fields(reason="till\x00two")),
    Poison("far_past", Reason.TIME_OUT_OF_BOUNDS, with_fields(balance_date="1999-12-31")),
    Poison("far_future", Reason.TIME_OUT_OF_BOUNDS, with_fields(balance_date="2999-01-01")),
    Poison("tombstone", Reason.EMPTY, tombstone),
    Poison("too_large", Reason.TOO_LARGE, too_large),
    CONFLICT,
)
