"""JSON Schema of what flows, made from the Structs, with those rules across fields that JSON Schema can say.

A schema is what a producer should keep to, so it is a little narrower than the decoder (which also takes a UUID without
hyphens) and cannot be as narrow everywhere: `5000.0` is an integer to JSON Schema and none to the decoder, and bounds
on time hang on the clock of the broker. `folio validate` is exact.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.chain import HEAD_BYTES, ChainHead
from schemas.corrections import BalanceCorrection
from schemas.events import AGREEING, FinanceEvent
from schemas.updates import BalanceUpdate

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MESSAGES: Final[dict[str, type[msgspec.Struct]]] = {
    "finance-event": FinanceEvent,
    "balance-correction": BalanceCorrection,
    "balance-update": BalanceUpdate,
    "chain-head": ChainHead,
}

# Many validators take formats for remarks; patterns bind them all. This one: the offset, without which a time is none.
_WITH_OFFSET: Final = "(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$"
# As we write it: version 00.
TRACEPARENT: Final = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
_WITHOUT_NUL: Final = "^[^\\u0000]*$"
_UNKNOWN_FIELDS: Final = "Unknown fields are accepted everywhere, and kept."

# What the types do not say, by Struct and field.
_MEANINGS: Final[dict[str, dict[str, str]]] = {
    "FinanceEvent": {
        "event_id": "For tracing; a UUID of version 7 is preferred. Identity does not hang on it.",
        "type": "What happened, to which kind of transaction. It must agree with data.status.",
        "aggregate_id": "The transaction. Revenue and expense have numbers of their own.",
        "version": "Rises with each change of the transaction; gaps are accepted, lower ones are stale.",
        "occurred_at": "RFC 3339 with offset; decides the balance date, in the property's time zone.",
    },
    "TransactionData": {
        "amount_cents": "Minor units of the property's currency, an integer.",
        "status": "Only approved money counts.",
        "currency": "ISO 4217; when given it must be the property's own.",
    },
    "BalanceCorrection": {
        "correction_id": "Unique for ever within the organisation; the same one again is a duplicate.",
        "balance_date": "The calendar day at the property.",
        "figures": "What the day's movements are to be; of kind figures only.",
        "declared_closing_cents": "The counted cash; null withdraws the count; of kind declared_closing only.",
    },
    "BalanceUpdate": {
        "epoch": "Versions are comparable within one epoch; in a new one, fetch the day again.",
        "version": "Rises by exactly one with each update of the day, by more where a rebuild made it right; "
        "drop what is not newer, refetch on a gap.",
        "traceparent": "W3C Trace Context of the event or correction that caused it; absent where it had none.",
    },
    "ChainHead": {
        "seq": "Of the link within its lane; one link for each lane and batch, without gaps within one cluster_epoch.",
        "head": "BLAKE2b-256 in hex, over the head before and all that the batch stored of the lane.",
        "cluster_epoch": "The timeline of the database; heads of one that ended in a failover may be unknown to it.",
    },
}


def documents() -> dict[str, Schema]:
    """A self-contained schema of each message, by name."""
    return {name: _document(struct) for name, struct in MESSAGES.items()}


def components(ref_template: str) -> dict[str, Schema]:
    """The schema of every Struct of every message, by the Struct's name, referring to each other by `ref_template`."""
    return _completed(tuple(MESSAGES.values()), ref_template)


def _document(struct: type[msgspec.Struct]) -> Schema:
    definitions = _completed((struct,), "#/$defs/{name}")
    root = definitions.pop(struct.__name__)
    return {"$schema": DIALECT} | root | ({"$defs": definitions} if definitions else {})


def _completed(structs: tuple[type[msgspec.Struct], ...], ref_template: str) -> dict[str, Schema]:
    """The schemas that msgspec makes, and what it does not know of them."""
    _, found = msgspec.json.schema_components(structs, ref_template=ref_template)
    for name, schema in found.items():
        schema["description"] = inspect.cleandoc(schema["description"])
        for field, meaning in _MEANINGS.get(name, {}).items():
            schema["properties"][field]["description"] = meaning
        for part in _parts(schema):
            _narrow(part)
    if "FinanceEvent" in found:
        found["FinanceEvent"]["allOf"] = list(_agreement())
        found["FinanceEvent"]["description"] += f"\n\n{_UNKNOWN_FIELDS}"
    if "BalanceCorrection" in found:
        found["BalanceCorrection"]["allOf"] = _of_the_kind(ref_template)
        found["BalanceCorrection"]["description"] += f"\n\n{_UNKNOWN_FIELDS}"
    if "BalanceUpdate" in found:
        # Always UTC, though its Struct does not say so: we write it.
        found["BalanceUpdate"]["properties"]["changed_at"] |= {"format": "date-time", "pattern": _WITH_OFFSET}
        found["BalanceUpdate"]["properties"]["traceparent"] |= {"pattern": TRACEPARENT}
    if "ChainHead" in found:
        found["ChainHead"]["properties"]["head"]["pattern"] = f"^[0-9a-f]{{{2 * HEAD_BYTES}}}$"
    return found


def _parts(schema: Any) -> Iterator[Schema]:
    """A schema and every schema within it."""
    if isinstance(schema, dict):
        yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _parts(part)


def _narrow(part: Schema) -> None:
    if part.get("type") != "string" or "pattern" in part:
        return
    if part.get("format") == "date-time":
        part["pattern"] = _WITH_OFFSET
    elif "maxLength" in part:  # free text: PostgreSQL stores no NUL
        part["pattern"] = _WITHOUT_NUL


def _agreement() -> Iterator[Schema]:
    """If the type is one of these, the status is one of those: one rule for the types that share their statuses."""
    statuses: dict[str, list[str]] = defaultdict(list)
    for type_, status in sorted(AGREEING):
        statuses[type_].append(status)
    types: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for type_, allowed in statuses.items():
        types[tuple(allowed)].append(type_)
    for allowed_together, sharing in sorted(types.items()):
        yield {
            "if": {"properties": {"type": {"enum": sharing}}, "required": ["type"]},
            "then": {"properties": {"data": {"properties": {"status": {"enum": list(allowed_together)}}}}},
        }


def _of_the_kind(ref_template: str) -> list[Schema]:
    """The rules of `BalanceCorrection.__post_init__`: what the kind needs, and nothing that another would mean."""
    figures = {"$ref": ref_template.format(name="StatedFigures")}
    return [
        {
            "if": _kind("figures"),
            "then": {"required": ["figures"], "properties": {"figures": figures}},
            "else": {"properties": {"figures": {"type": "null"}}},
        },
        {
            "if": _kind("declared_closing"),
            "then": {"required": ["declared_closing_cents"]},
            "else": {"properties": {"declared_closing_cents": {"type": "null"}}},
        },
    ]


def _kind(kind: str) -> Schema:
    return {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
