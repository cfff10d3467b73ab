"""From a record's bytes to an event, or to the reason why not: the contract of `finance-events`, read again.

The pipeline decodes with msgspec; this module, with decode_headers.py and decode_msgpack.py below it, decodes with
the standard library and shares no line with it, so that a mistake in one of them shows.
`tests/oracle/test_agrees_with_codec.py` holds the two together.

The verdict does not depend on the order of fields. The whole record is well-formed, or it is `malformed`;
then each known field has its type and range, or it is `schema`; then come the rules across fields, in order.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pipeline.oracle.decode_headers import AttributeFault, Carried, document_of
from pipeline.oracle.strict_json import MalformedError, Repeated, variants

RECORD_BYTES_MAX: Final = 256 * 1024

_INT64_MAX: Final = 2**63 - 1
_INT32_MAX: Final = 2**31 - 1
_AMOUNT_CENTS_MAX: Final = 10**12
_MICROSECOND: Final = timedelta(microseconds=1)


class Record(NamedTuple):
    """A record as it stands in the topic."""

    lane: int
    offset: int
    appended_at: datetime  # UTC
    value: bytes | None
    header_names: tuple[str, ...] = ()  # what is not UTF-8 in them stands as lone surrogates
    header_values: tuple[bytes | None, ...] = ()  # in the same order


class Rules(NamedTuple):
    """What a lane's records from `position` on were judged by."""

    position: int
    past_max: timedelta
    future_max: timedelta
    default_currency: str
    default_time_zone: str


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


class Rejected(NamedTuple):
    """A record that breaks a rule."""

    lane: int
    offset: int
    digest: bytes | None  # None where the record has no value
    reason: str
    detail: str


Judged = Event | Rejected


class _RuleError(Exception):
    """Carries a verdict from the rule that is broken up to `judge`, and no further."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail


def judge(record: Record, rules: Rules) -> Judged:
    """Decode a record and check every rule that needs no books. Never raises for what a producer sent."""
    lane, offset, value = record.lane, record.offset, record.value
    if value is None:
        return Rejected(lane, offset, None, "empty", "no value")
    digest = sha256(value).digest()
    try:
        return _event(record, value, digest, rules)
    except _RuleError as broken:
        return Rejected(lane, offset, digest, broken.reason, broken.detail)


def _event(record: Record, value: bytes, digest: bytes, rules: Rules) -> Event:
    if len(value) > RECORD_BYTES_MAX:
        raise _RuleError("too_large", f"{len(value)} bytes")
    try:
        document = document_of(value, record.header_names, record.header_values, _CARRIED)
    except MalformedError as error:
        raise _RuleError("malformed", str(error)) from error
    except AttributeFault as error:
        raise _RuleError("schema", str(error)) from error
    if _has_repeated_names(document):
        for variant in variants(document, _NAMES):
            _typed(record, digest, variant)
    event = _typed(record, digest, document)
    _require_status(event.content)
    _require_time(event, rules)
    if b"\\u0000" in value or b"\0" in value:  # as JSON writes NUL, and as MessagePack does
        _require_no_nul(event.content, document)
    return event


def _has_repeated_names(document: object) -> bool:
    return isinstance(document, Repeated) or (
        isinstance(document, dict)
        and (isinstance(document.get("data"), Repeated) or isinstance(document.get("recorded_by"), Repeated))
    )


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
# Looking a word up also gives our own copy of it: a million events then share a handful of strings.
_TYPES: Final = {name: name for name in (f"{kind}.{verb}" for kind in _KINDS for verb in _STATUSES_BY_VERB)}
_KIND_OF: Final = {name: kind for name in _TYPES for kind in _KINDS if name.startswith(kind)}
_MODES: Final = {name: name for name in ("cash", "bank")}
_STATUSES: Final = {name: name for name in ("pending", "approved", "rejected", "deleted")}
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]+))?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)


def _typed(record: Record, digest: bytes, document: object) -> Event:
    """The event, provided that each known field has its type and range."""
    whole = _mapping(document, "$")
    data = _mapping(_field(whole, "data"), "data")
    recorded_by = _mapping(_field(whole, "recorded_by"), "recorded_by")
    _text(recorded_by, "name", 200)
    name = _choice(whole, "type", _TYPES)
    content = Content(
        name,
        _integer(whole, "property_id", _INT64_MAX),
        _instant(_field(whole, "occurred_at")),
        _integer(recorded_by, "user_id", _INT64_MAX),
        _integer(data, "amount_cents", _AMOUNT_CENTS_MAX),
        _choice(data, "payment_mode", _MODES),
        _choice(data, "status", _STATUSES),
        _currency(data),
        _text(data, "category", 200),
        _text(data, "description", 4000),
        _text(data, "bank_reference", 200),
        _text(data, "source", 100),
    )
    return Event(
        record.lane,
        record.offset,
        record.appended_at,
        digest,
        _uuid(_field(whole, "event_id")),
        _integer(whole, "org_id", _INT64_MAX),
        _KIND_OF[name],
        _integer(whole, "aggregate_id", _INT64_MAX),
        _integer(whole, "version", _INT32_MAX),
        content,
    )


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _RuleError("schema", f"{name} is not an object")
    return value


def _field(mapping: Mapping[str, Any], name: str) -> Any:
    try:
        return mapping[name]
    except KeyError:
        raise _RuleError("schema", f"{name} is missing") from None


def _integer(mapping: Mapping[str, Any], name: str, maximum: int) -> int:
    value = mapping.get(name)
    if type(value) is int and 1 <= value <= maximum:  # not isinstance: True would pass as 1
        return value
    raise _RuleError("schema", f"{name} is not an integer from 1 to {maximum}")


def _choice(mapping: Mapping[str, Any], name: str, choices: Mapping[str, str]) -> str:
    value = mapping.get(name)
    if type(value) is str and value in choices:
        return choices[value]
    raise _RuleError("schema", f"{name} is none of {', '.join(choices)}")


def _text(mapping: Mapping[str, Any], name: str, length_max: int) -> str | None:
    value = mapping.get(name)
    if value is None or (type(value) is str and len(value) <= length_max):
        return value
    raise _RuleError("schema", f"{name} is not a text of at most {length_max} characters")


def _currency(data: Mapping[str, Any]) -> str | None:
    value = data.get("currency")
    if value is None or (type(value) is str and _CURRENCY.fullmatch(value)):
        return value
    raise _RuleError("schema", "currency is not a code of three capital letters")


def _uuid(value: object) -> bytes:
    if type(value) is str and _UUID.fullmatch(value):
        return bytes.fromhex(value.replace("-", ""))
    raise _RuleError("schema", "event_id is not a UUID")


def _instant(value: object) -> datetime:
    """An instant of RFC 3339 with an offset, in UTC; digits beyond microseconds round to the nearest."""
    match = _INSTANT.fullmatch(value) if type(value) is str else None
    if match is None:
        raise _RuleError("schema", "occurred_at is not an instant of RFC 3339 with an offset")
    seconds, fraction, offset = match.groups()
    fraction = fraction or "0"
    zone = "+00:00" if offset in "Zz" else offset
    try:
        instant = datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}{zone}")
        if fraction[6:7] >= "5":
            instant += _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise _RuleError("schema", f"occurred_at: {error}") from error
    return _in_utc(instant)


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # within a day of year 1 or 9999: a date all the same, for the rule about time to refuse
        return instant


# What a CloudEvent may say in attributes.
_CARRIED: Final[Carried] = {
    "event_id": ("id", lambda whole, name: _uuid(_field(whole, name))),
    "type": ("type", lambda whole, name: _choice(whole, name, _TYPES)),
    "occurred_at": ("time", lambda whole, name: _instant(_field(whole, name))),
}


# --- the rules across fields ---


def _require_status(content: Content) -> None:
    verb = content.type.partition(".")[2]
    if content.status not in _STATUSES_BY_VERB[verb]:
        raise _RuleError("status_mismatch", f"{content.type} with status {content.status}")


def _require_time(event: Event, rules: Rules) -> None:
    distance = event.content.occurred_at - event.appended_at
    if not -rules.past_max <= distance <= rules.future_max:
        raise _RuleError("time_out_of_bounds", f"occurred_at is {distance} after it was appended")


def _require_no_nul(content: Content, document: object) -> None:
    name = _mapping(_mapping(document, "$")["recorded_by"], "recorded_by").get("name")
    for text in (name, content.category, content.description, content.bank_reference, content.source):
        if text is not None and "\0" in text:
            raise _RuleError("text", "NUL in a text")
