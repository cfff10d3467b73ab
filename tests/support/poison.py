"""The hand-written corpus of records that break the contract: tests/samples/README.md says how an entry is read."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.codec import Rules
from schemas.reasons import Reason
from schemas.records import Headers
from schemas.topics import Feed
from tests.support.raw_batches import RawHeader

SAMPLES: Final = Path(__file__).parents[1] / "samples"
FILES: Final = {Feed.EVENTS: "poison_events.toml", Feed.CORRECTIONS: "poison_corrections.toml"}
# What the reasons hold for, and what `repairable` does: the defaults, and an operator's wider settings.
RULES: Final = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))
WIDER: Final = Rules(past_max=timedelta(days=6000), future_max=timedelta(hours=100))
# The rules accept these records; what refuses them is the books.
OF_THE_BOOKS: Final = frozenset({Reason.VERSION_CONFLICT, Reason.CORRECTION_CONFLICT, Reason.CURRENCY_MISMATCH})
FIRST_NUMBER: Final = 1000
BOOKED_BEFORE: Final = 9999  # of the good record that entries for the books contradict
_MESSAGEPACK: Final[RawHeader] = (b"content-type", b"application/msgpack")

_MARK: Final = "@@here@@"
_INSTANT: Final = re.compile(r"<(now|today)([+-]\d+)([hd])>")
_REPEATED: Final = re.compile(r"<([^<>]+|[<>])\*(\d+)>")


@dataclass(frozen=True, slots=True)
class Poison:
    """One entry: what is wrong, why it is, and the record itself as it is to be sent at an instant."""

    feed: Feed
    name: str
    why: str
    reason: Reason
    repairable: bool  # the wider rules of the redrive accept it
    number: int
    good: str
    entry: Mapping[str, Any]

    def key(self) -> bytes | None:
        written = self.entry.get("key", "42")
        return None if written == "null" else _bytes(written)

    def headers(self, now: datetime) -> list[RawHeader]:
        headers: list[RawHeader] = [_MESSAGEPACK] if self.packed else []
        for name, *value in self.entry.get("headers", ()):
            headers.append((_bytes(name), _bytes(_filled(value[0], self.number, now)) if value else None))
        return headers

    def read_headers(self, now: datetime) -> Headers:
        """As the worker's client hands them over."""
        return tuple((name.decode("utf-8", "surrogateescape"), value) for name, value in self.headers(now))

    @property
    def packed(self) -> bool:
        return self.entry.get("form") == "messagepack"

    def value(self, now: datetime) -> bytes | None:
        """The record's value: the good record of the file, changed as the entry says, from the inside outwards."""
        entry = self.entry
        if entry.get("null"):
            return None
        if "value" in entry:
            return _bytes(_filled(entry["value"], self.number, now))
        value = self._changed(now)
        if "swap" in entry:
            old, new = (_bytes(text) for text in entry["swap"])
            assert value.count(old) == 1, f"{self.name}: {old!r} must be there once"
            value = value.replace(old, new)
        if "charset" in entry:
            value = value.decode().encode(entry["charset"])
        value = value[: entry.get("keep")]
        return _bytes(entry.get("before", "")) + value + _bytes(entry.get("after", ""))

    def _changed(self, now: datetime) -> bytes:
        """The good record without what is dropped, and with what is put in its place."""
        document: dict[str, Any] = json.loads(_filled(self.good, self.number, now))
        for path in self.entry.get("drop", ()):
            holder, last = _holder(document, path.split("."))
            del holder[last]
        leaves = _leaves(self.entry.get("put", {}))
        for place, path in enumerate(leaves):
            holder, last = _holder(document, path)
            holder[last] = f"{_MARK}{place}"
        write = msgspec.msgpack.encode if self.packed else msgspec.json.encode
        value = write(document)
        for place, raw in enumerate(leaves.values()):
            value = value.replace(write(f"{_MARK}{place}"), _bytes(_filled(raw, self.number, now)))
        return value


@cache
def corpus() -> tuple[Poison, ...]:
    """Every entry of both files, in their order."""
    return tuple(poison for feed in Feed for poison in _read(feed))


def good_record(feed: Feed, number: int, now: datetime) -> bytes:
    """The record of which every entry of the feed is a change."""
    return _filled(_document(feed)["good"], number, now).encode()


def _read(feed: Feed) -> list[Poison]:
    document = _document(feed)
    return [
        Poison(
            feed,
            entry["name"],
            entry["why"],
            Reason(entry["reason"]),
            entry.get("repairable", False),
            number,
            document["good"],
            entry,
        )
        for number, entry in enumerate(document["poison"], FIRST_NUMBER)
    ]


@cache
def _document(feed: Feed) -> dict[str, Any]:
    return tomllib.loads((SAMPLES / FILES[feed]).read_text(encoding="utf-8"))


def _filled(text: str, number: int, now: datetime) -> str:
    """The text with its number, its instants and days, and what is to be repeated."""

    def instant(found: re.Match[str]) -> str:
        of, count, unit = found.groups()
        at = now + timedelta(**{{"h": "hours", "d": "days"}[unit]: int(count)})
        return at.isoformat(timespec="seconds") if of == "now" else at.date().isoformat()

    filled = _INSTANT.sub(instant, text.replace("<n>", str(number)))
    return _REPEATED.sub(lambda found: found[1] * int(found[2]), filled)


def _bytes(text: str) -> bytes:
    """`hex:` is followed by bytes, with blanks for the eye; any other text stands for itself."""
    kind, colon, digits = text.partition(":")
    return bytes.fromhex(digits) if (kind, colon) == ("hex", ":") else text.encode()


def _holder(document: dict[str, Any], path: list[str] | tuple[str, ...]) -> tuple[dict[str, Any], str]:
    for name in path[:-1]:
        document = document[name]
    return document, path[-1]


def _leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Path to raw text: `put = {data.status = '"paid"'}` is one leaf under data and status."""
    leaves: dict[tuple[str, ...], str] = {}
    for name, below in tree.items():
        path = (*above, name)
        leaves |= {path: below} if isinstance(below, str) else _leaves(below, path)
    return leaves
