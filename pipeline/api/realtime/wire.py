"""What is told, as bytes: an event of an SSE stream, or a message of a WebSocket."""

from typing import Any, Final

import msgspec

from pipeline.realtime.messages import Delivery
from pipeline.realtime.telling import Closed, Heartbeat, ResyncTold, SnapshotPage, Subscribed, Told, Update

_encode: Final = msgspec.json.Encoder().encode


def event_of(told: Told) -> bytes:
    """An event of the stream: its name, the cursor as its id where it has one, and one line of JSON."""
    name, cursor, members = _parts(told)
    place = f"id: {cursor}\n" if cursor is not None else ""
    return f"event: {name}\n{place}data: {{".encode() + members + b"}\n\n"


def message_of(subscription: bytes, told: Told) -> bytes:
    """A message of the socket; `subscription`: the client's name for it, as JSON."""
    name, cursor, members = _parts(told)
    place = f',"cursor":"{cursor}"' if cursor is not None else ""
    head = f'{{"type":"{name}","id":'.encode() + subscription + place.encode()
    return head + (b"," if members else b"") + members + b"}"


def _parts(told: Told) -> tuple[str, str | None, bytes]:
    """Its name, its cursor, and the members of its object."""
    match told:
        case Update(delivery, cursor):
            return "update", cursor, update_members(delivery)
        case Heartbeat(cursor):
            return "heartbeat", cursor, b""
        case SnapshotPage(epoch, balances, cursor):
            return "snapshot", cursor, _members({"epoch": epoch, "balances": balances, "last": told.last})
        case Subscribed(org_id, seconds):
            return "subscribed", None, _members({"org_id": org_id, "heartbeat_seconds": seconds})
        case ResyncTold(reason):
            return "resync", None, _members({"reason": reason})
        case Closed(reason):
            return "closed", None, _members({"reason": reason})


def update_members(delivery: Delivery) -> bytes:
    """The record of the topic goes out as it came in: it is encoded once for all subscribers, by the worker."""
    previous = b"null" if delivery.previous_version is None else b"%d" % delivery.previous_version
    line = delivery.entry.line
    # Whoever else writes to the topic may break lines, and a line is where an event of the stream ends.
    if b"\n" in line or b"\r" in line:
        line = _encode(delivery.entry.update)
    return b'"previous_version":' + previous + b',"balance":' + line


def _members(values: dict[str, Any]) -> bytes:
    return _encode(values)[1:-1]
