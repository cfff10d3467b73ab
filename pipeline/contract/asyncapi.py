"""The AsyncAPI 3.0 document: the topics, what is on them and in what form, from this application's point of view."""

from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from pipeline.contract import json_schemas
from schemas.codec import RECORD_BYTES_MAX
from schemas.topics import BALANCE_CORRECTIONS, CHAIN_HEADS, FINANCE_EVENTS, REALTIME_UPDATES, topics

ASYNCAPI_VERSION: Final = "3.0.0"
# Of the contract, not of the code: the first number changes when a producer or a subscriber must change.
CONTRACT_VERSION: Final = "1.0.0"
KAFKA_BINDING_VERSION: Final = "0.5.0"

Document = dict[str, Any]

_CONTENT_TYPES: Final = (
    "application/json",
    "application/msgpack",
    "application/x-msgpack",
    "application/vnd.msgpack",
)

_INTRODUCTION: Final = """\
Finance events of hotels in, exact daily cash balances and realtime updates out.

The key of every record but those of chain-heads is its org_id as decimal text, and producers place it with Kafka's own
murmur2 partitioner (librdkafka: partitioner=murmur2_random): an organisation's records then meet on one partition.
Another partitioner is correct, only slower. Topic names may have a prefix that the operator tells; all topics have the
same number of partitions."""

_LIMITS: Final = f"""\
At most {RECORD_BYTES_MAX // 1024} KiB. A record that breaks a rule is quarantined with a reason code; others go on."""

_FORMS: Final = """\
JSON is the default. The same document as MessagePack is accepted when the header content-type says so, and CloudEvents
1.0 in Kafka's binary mode (headers ce_*, case does not matter) as well as the plain form: then {carried}
of the value, which may leave them out; where both are there they must agree."""

_EVENT: Final = f"""\
One version of one transaction, with its whole new state. Identity: (org_id, revenue or expense, aggregate_id, version);
the same again is a duplicate, another body under it is a conflict.

{_FORMS.format(carried="ce_id, ce_type and ce_time stand for event_id, type and occurred_at")}
{_LIMITS}"""

_CORRECTION: Final = f"""\
An accountant's correction of one day: its figures, a count of its cash, or an order to compute it again.

{_FORMS.format(carried="ce_id and ce_time stand for correction_id and issued_at")}
{_LIMITS}"""

_TRACE_IN: Final = "W3C Trace Context, carried on to the updates that this record causes; ignored when not valid."

_UPDATE: Final = """\
Every figure of a day, each time a committed batch changed it. At least once: drop what is not newer, refetch on a gap.
Always JSON; the state comes from the database, this topic is not compacted."""

_HEAD: Final = """\
The head of a lane's hash chain after each batch that stored anything of the lane. At least once: the same head again
says the same. Whoever keeps these, out of reach of those who write to the database, can tell whether books were
rewritten."""


def document() -> Document:
    """The whole document."""
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {"title": "Folio Stream", "version": CONTRACT_VERSION, "description": _INTRODUCTION},
        "defaultContentType": "application/json",
        "channels": {
            FINANCE_EVENTS: _channel(FINANCE_EVENTS, "FinanceEvent", "What happened to the transactions of hotels."),
            BALANCE_CORRECTIONS: _channel(
                BALANCE_CORRECTIONS, "BalanceCorrection", "What accountants say about a day, besides its events."
            ),
            REALTIME_UPDATES: _channel(REALTIME_UPDATES, "BalanceUpdate", "The balances, as they change."),
            CHAIN_HEADS: _channel(CHAIN_HEADS, "ChainHead", "What the store was, for whoever proves it later."),
        },
        "operations": {
            "receiveFinanceEvents": _operation("receive", FINANCE_EVENTS, "FinanceEvent"),
            "receiveBalanceCorrections": _operation("receive", BALANCE_CORRECTIONS, "BalanceCorrection"),
            "sendRealtimeUpdates": _operation("send", REALTIME_UPDATES, "BalanceUpdate"),
            "sendChainHeads": _operation("send", CHAIN_HEADS, "ChainHead"),
        },
        "components": {
            "messages": {
                "FinanceEvent": _message(FINANCE_EVENTS, "FinanceEvent", _EVENT) | _accepted_headers(),
                "BalanceCorrection": _message(BALANCE_CORRECTIONS, "BalanceCorrection", _CORRECTION)
                | _accepted_headers(),
                "BalanceUpdate": _message(REALTIME_UPDATES, "BalanceUpdate", _UPDATE) | _sent_headers(),
                "ChainHead": _message(CHAIN_HEADS, "ChainHead", _HEAD, _lane_key()),
            },
            "schemas": json_schemas.components("#/components/schemas/{name}"),
        },
    }


def _channel(topic: str, message: str, description: str) -> Document:
    return {
        "address": topic,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "kafka": {
                "topic": topic,
                "topicConfiguration": _topic_configuration(topic),
                "bindingVersion": KAFKA_BINDING_VERSION,
            }
        },
    }


def _topic_configuration(topic: str) -> Document:
    config = next(spec.config for spec in topics() if spec.name == topic)
    return {"cleanup.policy": [config["cleanup.policy"]], "retention.ms": int(config["retention.ms"])}


def _operation(action: Literal["receive", "send"], topic: str, message: str) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "messages": [{"$ref": f"#/channels/{topic}/messages/{message}"}],
    }


def _message(topic: str, struct: str, description: str, key: Document | None = None) -> Document:
    return {
        "name": struct,
        "title": struct,
        "description": description,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{struct}"},
        "bindings": {"kafka": {"key": key or _key(), "bindingVersion": KAFKA_BINDING_VERSION}},
        "examples": _examples(topic),
    }


def _key() -> Document:
    return {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,18}$",
        "description": "org_id as decimal text; placed by murmur2, as Kafka's own partitioner does.",
    }


def _lane_key() -> Document:
    return {
        "type": "string",
        "pattern": "^(0|[1-9][0-9]{0,4})$",
        "description": "The lane as decimal text; its heads are all on the partition lane modulo number of partitions.",
    }


def _accepted_headers() -> Document:
    """None is required: without headers a record is plain JSON."""
    headers = {
        "content-type": {
            "type": "string",
            "pattern": f"^({'|'.join(_CONTENT_TYPES)})( *;.*)?$",
            "description": "application/json when absent; any other than these is refused as malformed.",
        },
        "ce_specversion": {
            "type": "string",
            "const": "1.0",
            "description": "Makes the record a CloudEvent; the other ce_ headers count only beside it.",
        },
        "ce_id": {"type": "string", "format": "uuid"},
        "ce_source": {"type": "string", "description": "Not looked at."},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "traceparent": {"type": "string", "description": f"{_TRACE_IN} Before ce_traceparent, where both are there."},
        "ce_traceparent": {"type": "string", "description": f"{_TRACE_IN} Of a CloudEvent."},
    }
    return {"headers": {"type": "object", "properties": headers}}


def _sent_headers() -> Document:
    headers = {
        "traceparent": {
            "type": "string",
            "pattern": json_schemas.TRACEPARENT,
            "description": "As in the value; absent where the cause of the change had none.",
        }
    }
    return {"headers": {"type": "object", "properties": headers}}


def _examples(topic: str) -> list[Document]:
    """Copies of committed samples, which every version reads for ever."""
    found = sorted((files(__package__) / "examples" / topic).iterdir(), key=lambda file: file.name)
    return [
        {"name": file.name.removesuffix(".json"), "payload": msgspec.json.decode(file.read_bytes())} for file in found
    ]
