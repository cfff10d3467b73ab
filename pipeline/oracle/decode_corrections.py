"""From a record's bytes to a correction, or to the reason why not: the contract of `balance-corrections`, read again.

In every form that events have, too; `tests/oracle/test_agrees_on_corrections.py` holds this decoder together with the
pipeline's. The whole record is well-formed, or it is `malformed`; then each known field has its type and range and the
kind has what it needs, or it is `schema`; then come the bounds of time, then the texts.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from pipeline.oracle import fields
from pipeline.oracle.decode_headers import Carried
from pipeline.oracle.fields import SCHEMA, RuleError
from pipeline.oracle.movements import Movements
from pipeline.oracle.records import Contract, Record, Rejected, Rules

FIGURES: Final = "figures"
DECLARED_CLOSING: Final = "declared_closing"
RECOMPUTE: Final = "recompute"

_INT64_MAX: Final = 2**63 - 1
_FIGURE_CENTS_MAX: Final = 10**15
_KINDS: Final = fields.words((FIGURES, DECLARED_CLOSING, RECOMPUTE))
_NAMES: Final = (
    *("correction_id", "org_id", "property_id", "balance_date", "kind", "reason", "issued_at"),
    *("recorded_by", "user_id", "name"),
    *("figures", *Movements._fields),
    "declared_closing_cents",
)
# What a CloudEvent may say in attributes.
_CARRIED: Final[Carried] = {"correction_id": ("id", fields.uuid), "issued_at": ("time", fields.instant)}


class CorrectionContent(NamedTuple):
    """What a correction says, apart from its identity: equal in two deliveries of one correction."""

    property_id: int
    balance_date: date
    kind: str
    figures: Movements | None
    declared_closing_cents: int | None
    reason: str
    user_id: int
    issued_at: datetime  # UTC


class Correction(NamedTuple):
    """A record that keeps every rule which can be judged without the books."""

    lane: int
    offset: int
    appended_at: datetime
    digest: bytes  # SHA-256 of the record's bytes
    correction_id: bytes
    org_id: int
    content: CorrectionContent


JudgedCorrection = Correction | Rejected


def _typed(record: Record, digest: bytes, document: object) -> Correction:
    """The correction, provided that each known field has its type and range."""
    whole = fields.mapping(document, "$")
    recorded_by = fields.mapping(fields.field(whole, "recorded_by"), "recorded_by")
    fields.optional_text(recorded_by, "name", 200)
    content = CorrectionContent(
        fields.integer(whole, "property_id", 1, _INT64_MAX),
        fields.day(whole, "balance_date"),
        fields.choice(whole, "kind", _KINDS),
        _figures(whole),
        _declared(whole),
        fields.text(whole, "reason", 1, 1000),
        fields.integer(recorded_by, "user_id", 1, _INT64_MAX),
        fields.instant(whole, "issued_at"),
    )
    return Correction(
        *(record.lane, record.offset, record.appended_at, digest),
        fields.uuid(whole, "correction_id"),
        fields.integer(whole, "org_id", 1, _INT64_MAX),
        content,
    )


def _figures(whole: Mapping[str, Any]) -> Movements | None:
    if whole.get("figures") is None:
        return None
    stated = fields.mapping(whole["figures"], "figures")
    return Movements(*(fields.integer(stated, name, 0, _FIGURE_CENTS_MAX) for name in Movements._fields))


def _declared(whole: Mapping[str, Any]) -> int | None:
    if whole.get("declared_closing_cents") is None:
        return None
    return fields.integer(whole, "declared_closing_cents", -_FIGURE_CENTS_MAX, _FIGURE_CENTS_MAX)


# --- the rules across fields ---


def _require(correction: Correction, whole: Mapping[str, Any], rules: Rules) -> None:
    _require_what_the_kind_needs(correction.content, whole)
    _require_time(correction, rules)


def _require_what_the_kind_needs(content: CorrectionContent, whole: Mapping[str, Any]) -> None:
    if (content.kind == FIGURES) != (content.figures is not None):
        raise RuleError(SCHEMA, f"{content.kind} with figures {content.figures}")
    if content.kind == DECLARED_CLOSING:
        fields.field(whole, "declared_closing_cents")  # null withdraws a count; to say nothing is not to withdraw
    elif content.declared_closing_cents is not None:
        raise RuleError(SCHEMA, f"{content.kind} with a count")


def _require_time(correction: Correction, rules: Rules) -> None:
    """The calendar of the property may be a day away from that of UTC, either way."""
    distance = correction.content.balance_date - correction.appended_at.date()
    future_max = timedelta(days=-(-rules.future_max // timedelta(days=1)) + 1)  # whole days, rounded up
    if not timedelta(days=-rules.past_max.days - 1) <= distance <= future_max:
        raise RuleError("time_out_of_bounds", f"balance_date is {distance.days} days after it was appended")
    age = correction.appended_at - correction.content.issued_at
    if not -rules.future_max <= age <= rules.past_max:
        raise RuleError("time_out_of_bounds", f"issued_at is {age} before it was appended")


def _texts(correction: Correction, whole: Mapping[str, Any]) -> tuple[str | None, ...]:
    return correction.content.reason, fields.mapping(whole["recorded_by"], "recorded_by").get("name")


_CONTRACT: Final = Contract[Correction](_CARRIED, _NAMES, ("figures", "recorded_by"), _typed, _require, _texts)
judge_correction: Final = _CONTRACT.judge
