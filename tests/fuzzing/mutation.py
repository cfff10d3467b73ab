"""Structure-aware mutation: a record is taken apart, changed where it has meaning, and put together again.

Flipped bits alone rarely get past a parser. So most changes are made to the document: a field is dropped, doubled,
renamed, given another's value or one from the edge of its type; then it is written in any of the encodings, and only
then, sometimes, damaged as bytes.
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any, Final

import msgspec

from schemas.topics import Feed
from tests.support.poison import SAMPLES, corpus, good_record

NOW: Final = datetime(2026, 3, 10, 12, tzinfo=UTC)
_ATTRIBUTES: Final = ("id", "type", "source", "specversion", "time", "subject", "datacontenttype")
_CONTENT_TYPES: Final = (
    b"application/json",
    b"application/msgpack",
    b"application/x-msgpack",
    b"application/json; charset=utf-8",
    b"text/plain",
    b"\xff",
    b"",
)
# From the edges of types, of encodings and of our own rules.
EDGES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 10**12, 10**12 + 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64),
    *(0.0, -0.0, 1.0, 1e308, 0.1 + 0.2, 5e-324),
    *("", "0", "1", "null", "INR", "inr", "INRX", "cash", "bank", "approved", "deleted", "revenue.created"),
    *("\x00", "a\x00b", "\ud800", "\udfff", "\uffff", "\U0001f3e8", "e\u0301", "é" * 5_000, "a" * 70_000),
    *("2026-03-10T12:00:00Z", "2026-03-10T12:00:00", "2026-02-30T12:00:00Z", "0001-01-01T00:00:00+23:59"),
    *("9999-12-31T23:59:59.999999999-23:59", "2026-03-10T23:59:60Z", "2026-03-10 12:00:00z", "2036-01-01T00:00:00Z"),
    *("00000000-0000-0000-0000-000000000000", "not-a-uuid", "2026-03-10", "2026-13-01"),
    *([], [1], [[[[]]]], {}, {"a": {"b": {}}}, {"cents": 1}),
)


@dataclass(frozen=True, slots=True)
class Message:
    """A record as it would stand in the topic."""

    feed: Feed
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Seed:
    """A record to begin with; `document` is None where its value is none."""

    message: Message
    document: dict[str, Any] | None


@cache
def good_seeds() -> tuple[Seed, ...]:
    """Every sample that keeps the contract, and the good record of each feed."""
    found = [Message(feed, b"42", good_record(feed, 1, NOW)) for feed in Feed]
    return tuple(_seed(message) for message in (*found, *_samples("events", "corrections")))


@cache
def bad_seeds() -> tuple[Seed, ...]:
    """Every sample that breaks it, and every entry of the poison corpus."""
    found = [Message(each.feed, each.key(), each.value(NOW), each.read_headers(NOW)) for each in corpus()]
    return tuple(_seed(message) for message in (*found, *_samples("poison", "corrections_poison")))


def _samples(events: str, corrections: str) -> list[Message]:
    return [
        Message(feed, b"42", path.read_bytes())
        for feed, folder in ((Feed.EVENTS, events), (Feed.CORRECTIONS, corrections))
        for path in sorted((SAMPLES / folder).iterdir())
    ]


def _seed(message: Message) -> Seed:
    return Seed(message, _document(message))


def _document(message: Message) -> dict[str, Any] | None:
    try:
        document = json.loads(message.value or b"")
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def mutated(chance: Random) -> Message:
    """A record that nobody has seen before, most likely."""
    seed = chance.choice(good_seeds() if chance.random() < 0.6 else bad_seeds())
    if seed.document is None or chance.random() < 0.1:
        return _damaged(seed.message, chance)
    document = json.loads(json.dumps(seed.document))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 6))):
        chance.choice(_CHANGES)(document, chance)
    message = _written(seed.message.feed, document, chance)
    return _damaged(message, chance) if chance.random() < 0.1 else message


def _edge(chance: Random) -> Any:
    """One of its own: what stands in the document may be changed again."""
    return deepcopy(chance.choice(EDGES))


# --- changes of the document ---


def _places(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Every field of the document and of the objects in it."""
    found = []
    for name, value in document.items():
        found.append((document, name))
        if isinstance(value, dict):
            found += _places(value)
    return found


def _drop(document: dict[str, Any], chance: Random) -> None:
    if places := _places(document):
        holder, name = chance.choice(places)
        del holder[name]


def _to_the_edge(document: dict[str, Any], chance: Random) -> None:
    if places := _places(document):
        holder, name = chance.choice(places)
        holder[name] = _edge(chance)


def _near(document: dict[str, Any], chance: Random) -> None:
    """A number one up or down, a text with a character more, less, or in another case."""
    places = [(holder, name) for holder, name in _places(document) if isinstance(holder[name], int | str)]
    if not places:
        return
    holder, name = chance.choice(places)
    value = holder[name]
    if isinstance(value, int):
        holder[name] = value + chance.choice((-1, 1, 2**31, -(2**31)))
    else:
        holder[name] = chance.choice(
            (value[:-1], value + " ", value.upper(), value.swapcase(), value + value, value[1:])
        )


def _swap(document: dict[str, Any], chance: Random) -> None:
    """Two fields have each other's values."""
    places = _places(document)
    if len(places) > 1:
        (holder, name), (other, another) = chance.sample(places, 2)
        if another in other and name in holder:
            # Copies: one of them may hold the other.
            holder[name], other[another] = deepcopy(other[another]), deepcopy(holder[name])


def _rename(document: dict[str, Any], chance: Random) -> None:
    if places := _places(document):
        holder, name = chance.choice(places)
        holder[chance.choice((name.upper(), name + "_", name[:-1], "", "\x00"))] = holder.pop(name)


def _add(document: dict[str, Any], chance: Random) -> None:
    holder = chance.choice([document, *(value for value in document.values() if isinstance(value, dict))])
    holder[chance.choice(("nights", "room", "", "__proto__", "amount", "data"))] = _edge(chance)


Change = Callable[[dict[str, Any], Random], None]
_CHANGES: Final[Sequence[Change]] = (_drop, _to_the_edge, _to_the_edge, _near, _near, _swap, _rename, _add)


# --- writing it down ---


def _written(feed: Feed, document: dict[str, Any], chance: Random) -> Message:
    """In one of the forms that the contract accepts, or nearly."""
    form = chance.random()
    if form > 0.99:
        return Message(feed, b"42", None)  # a tombstone
    key = chance.choice((b"42", b"1", None, b"", b"\xff", str(document.get("org_id")).encode("utf-8", "replace")))
    if form < 0.15:
        return Message(feed, key, _packed(document), (("content-type", b"application/msgpack"),))
    value = _json(document, chance)
    if form < 0.3:
        return Message(feed, key, value, _attributes(document, chance))
    if form < 0.4:
        return Message(feed, key, value, (("content-type", chance.choice(_CONTENT_TYPES)),))
    return Message(feed, key, value)


def _packed(document: dict[str, Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(document)
    except (OverflowError, UnicodeEncodeError, RecursionError):
        return b"\xc1"


def _json(document: dict[str, Any], chance: Random) -> bytes:
    """As one of several writers would: spaced or not, escaped or not, with a field written twice, or nested deeply."""
    text = json.dumps(
        document,
        ensure_ascii=chance.random() < 0.5,
        separators=chance.choice(((",", ":"), (", ", ": "), (" ,\n", "\t: "))),
    )
    draw = chance.random()
    if draw < 0.08 and document:
        name = chance.choice(list(document))
        text = f"{text[:-1]}, {json.dumps(name)}: {json.dumps(_edge(chance))}}}"
    elif draw < 0.12 and document:
        text = f'{text[:-1]}, "nested": {_nested(chance)}}}'
    return text.encode("utf-8", "surrogatepass")


def _nested(chance: Random) -> str:
    """Written as text: Python's own writer does not go so deep."""
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    depth = chance.choice((3, 40, 300, 2_000, 50_000))
    return opening * depth + "1" + closing * depth


def _attributes(document: dict[str, Any], chance: Random) -> tuple[tuple[str, bytes | None], ...]:
    """Some fields said in CloudEvents' headers, truly or not."""
    headers: list[tuple[str, bytes | None]] = []
    for attribute in chance.sample(_ATTRIBUTES, chance.randint(1, len(_ATTRIBUTES))):
        known = document.get({"id": "event_id", "time": "occurred_at"}.get(attribute, attribute))
        said = known if isinstance(known, str) and chance.random() < 0.7 else _edge(chance)
        value = None if said is None else str(said).encode("utf-8", "replace")
        headers.append((chance.choice(("ce_", "ce-", "CE_", "")) + attribute, value))
    return tuple(headers)


# --- damage ---


def _damaged(message: Message, chance: Random) -> Message:
    """Bytes lost, changed, doubled: what a link or a disk does."""
    if message.value is None:
        return message
    value = bytearray(message.value)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if not value:
            break
        at = chance.randrange(len(value))
        draw = chance.randrange(5)
        if draw == 0:
            value[at] ^= 1 << chance.randrange(8)
        elif draw == 1:
            value[at] = chance.choice(b'"{}[]:,\\\x00\xff\xc0\xed')
        elif draw == 2:
            del value[at:]
        elif draw == 3:
            del value[at : at + chance.randint(1, 8)]
        else:
            value[at:at] = value[at : at + chance.randint(1, 32)]
    return Message(message.feed, message.key, bytes(value), message.headers)
