"""From a record's bytes to an event, or to the reason why not: the contract of `finance-events`, read again.

The pipeline decodes with msgspec; this module and those below it decode with the standard library and share no line
with it, so that a mistake in one of them shows. `tests/oracle/test_agrees_with_codec.py` holds the two together.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from pipeline.oracle import fields
from pipeline.oracle.decode_headers import Carried
from pipeline.oracle.fields import SCHEMA, RuleError
from pipeline.oracle.records import Contract, Record, Rejected, Rules

_INT64_MAX: Final = 2**63 - 1
_INT32_MAX: Final = 2**31 - 1
_AMOUNT_CENTS_MAX: Final = 10**12


class Content(NamedTuple):
    """What an event says, apart from its identity: equal in two deliveries of one version."""

    type: str
    property_id: int
    occurred_at: datetime  # UTC
    user_id: int
    amount_cents: int
    payment_mode: str
    status: str
    currency: str | None
    category: str | None
    description: str | None
    bank_reference: str | None
    source: str | None


class Event(NamedTuple):
    """A record that keeps every rule which can be judged without the books."""

    lane: int
    offset: int
    appended_at: datetime
    digest: bytes  # SHA-256 of the record's bytes
    event_id: bytes
    org_id: int
    aggregate_type: str
    aggregate_id: int
    version: int
    content: Content
    user_name: str | None = None  # counts in no hash: two deliveries of a version may differ in it


Judged = Event | Rejected

# --- each known field has its type and range ---

_NAMES: Final = (
    *("event_id", "type", "org_id", "property_id", "aggregate_id", "version", "occurred_at"),
    *("recorded_by", "user_id", "name"),
    *("data", "amount_cents", "payment_mode", "status", "currency"),
    *("category", "description", "bank_reference", "source"),
)
_KINDS: Final = ("revenue", "expense")
_STATUSES_BY_VERB: Final = {
    "created": ("pending", "approved"),
    "updated": ("pending", "approved", "rejected"),
    "approved": ("approved",),
    "rejected": ("rejected",),
    "deleted": ("deleted",),
}
_TYPES: Final = fields.words(f"{kind}.{verb}" for kind in _KINDS for verb in _STATUSES_BY_VERB)
_KIND_OF: Final = {name: kind for name in _TYPES for kind in _KINDS if name.startswith(kind)}
_MODES: Final = fields.words(("cash", "bank"))
_STATUSES: Final = fields.words(("pending", "approved", "rejected", "deleted"))
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_CARRIED: Final[Carried] = {
    "event_id": ("id", fields.uuid),
    "type": ("type", lambda whole, name: fields.choice(whole, name, _TYPES)),
    "occurred_at": ("time", fields.instant),
}


def _typed(record: Record, digest: bytes, document: object) -> Event:
    """The event, provided that each known field has its type and range."""
    whole = fields.mapping(document, "$")
    data = fields.mapping(fields.field(whole, "data"), "data")
    recorded_by = fields.mapping(fields.field(whole, "recorded_by"), "recorded_by")
    user_name = fields.optional_text(recorded_by, "name", 200)
    name = fields.choice(whole, "type", _TYPES)
    content = Content(
        name,
        fields.integer(whole, "property_id", 1, _INT64_MAX),
        fields.instant(whole, "occurred_at"),
        fields.integer(recorded_by, "user_id", 1, _INT64_MAX),
        fields.integer(data, "amount_cents", 1, _AMOUNT_CENTS_MAX),
        fields.choice(data, "payment_mode", _MODES),
        fields.choice(data, "status", _STATUSES),
        _currency(data),
        fields.optional_text(data, "category", 200),
        fields.optional_text(data, "description", 4000),
        fields.optional_text(data, "bank_reference", 200),
        fields.optional_text(data, "source", 100),
    )
    return Event(
        *(record.lane, record.offset, record.appended_at, digest),
        fields.uuid(whole, "event_id"),
        fields.integer(whole, "org_id", 1, _INT64_MAX),
        _KIND_OF[name],
        fields.integer(whole, "aggregate_id", 1, _INT64_MAX),
        fields.integer(whole, "version", 1, _INT32_MAX),
        content,
        user_name,
    )


def _currency(data: Mapping[str, Any]) -> str | None:
    value = data.get("currency")
    if value is None or (type(value) is str and _CURRENCY.fullmatch(value)):
        return value
    raise RuleError(SCHEMA, "currency is not a code of three capital letters")


# --- the rules across fields ---


def _require(event: Event, _whole: Mapping[str, Any], rules: Rules) -> None:
    content = event.content
    verb = content.type.partition(".")[2]
    if content.status not in _STATUSES_BY_VERB[verb]:
        raise RuleError("status_mismatch", f"{content.type} with status {content.status}")
    distance = content.occurred_at - event.appended_at
    if not -rules.past_max <= distance <= rules.future_max:
        raise RuleError("time_out_of_bounds", f"occurred_at is {distance} after it was appended")


def _texts(event: Event, whole: Mapping[str, Any]) -> tuple[str | None, ...]:
    content = event.content
    return (
        fields.mapping(whole["recorded_by"], "recorded_by").get("name"),
        *(content.category, content.description, content.bank_reference, content.source),
    )


_CONTRACT: Final = Contract[Event](_CARRIED, _NAMES, ("data", "recorded_by"), _typed, _require, _texts)
judge: Final = _CONTRACT.judge
