"""The hash chain over what is stored, made again from docs/tamper-evidence.md by nothing but the standard library.

A link covers what one batch stored of one lane. What was stored before there were links is in a chain over content
hashes, on whose head the first link stands.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

from pipeline.oracle.findings import Findings

LANES: Final = "lanes"
STORED_EVENTS: Final = "stored_events"
CHAIN_START: Final = bytes(16)
_FORMAT: Final = 1
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Row = Sequence[Any]


class Link(NamedTuple):
    """A row of `event_store.chain_links`."""

    lane: int
    seq: int
    batch_id: UUID
    owner_epoch: int
    cluster_epoch: str
    events: int
    corrections: int
    first_recorded_at: datetime
    last_recorded_at: datetime
    previous_head: bytes
    head: bytes

    @property
    def key(self) -> dict[str, object]:
        return {"lane": self.lane, "link": self.seq, "batch_id": str(self.batch_id)}

    @property
    def packed(self) -> bytes:
        """What the link says of itself, as the chain takes it in."""
        ours = (self.lane, self.seq, self.batch_id, self.owner_epoch, self.cluster_epoch, self.events, self.corrections)
        return packed((_FORMAT, *ours))


class ChainComparison:
    """Recomputes each lane's chain from all that is stored; `recorded_at` must rise strictly on the way."""

    def __init__(self, links: Iterable[Row], corrections: Iterable[Row]) -> None:
        """`links` by lane and number; `corrections` with every column, by lane and instant of recording."""
        self._links: dict[int, list[Link]] = {}
        for link in map(Link._make, links):
            self._links.setdefault(link.lane, []).append(link)
        self._corrections: dict[int, list[Row]] = {}
        for row in corrections:
            self._corrections.setdefault(row[8], []).append(row)
        self._lanes: dict[int, _LaneChain] = {}

    def feed(self, findings: Findings, rows: Iterable[Row]) -> None:
        """Rows of `chain.sql`, each lane's in offset order."""
        for row in rows:
            self._of(row[0]).take(findings, row)

    def finish(self, findings: Findings, heads: Mapping[int, tuple[int, bytes]]) -> None:
        """Compare number and head of the newest link with those that `ops.lanes` has kept."""
        for lane in sorted(heads.keys() | self._links.keys()):
            seq, head = self._of(lane).end(findings)
            kept_seq, kept_head = heads.get(lane, (0, CHAIN_START))
            expected = {"chain_seq": seq, "chain_head": head}
            findings.compare(LANES, {"lane": lane}, expected, {"chain_seq": kept_seq, "chain_head": kept_head})

    def _of(self, lane: int) -> "_LaneChain":
        if lane not in self._lanes:
            self._lanes[lane] = _LaneChain(self._links.get(lane, []), self._corrections.get(lane, []))
        return self._lanes[lane]


class _LaneChain:
    def __init__(self, links: Sequence[Link], corrections: Sequence[Row]) -> None:
        self._links = links
        self._corrections = corrections
        self._at = 0  # the link whose events come
        self._corrections_at = 0
        self._head = CHAIN_START
        self._rows: list[bytes] = []
        self._recorded_at: datetime | None = None

    def take(self, findings: Findings, row: Row) -> None:
        lane, offset, recorded_at, content_hash = row[:4]
        key = {"lane": lane, "record_offset": offset}
        if self._recorded_at is not None and recorded_at <= self._recorded_at:
            findings.differ(STORED_EVENTS, key, {"recorded_after": self._recorded_at}, {"recorded_at": recorded_at})
        self._recorded_at = recorded_at
        while self._at < len(self._links) and self._links[self._at].last_recorded_at < recorded_at:
            self._close(findings)
        if self._at < len(self._links) and self._links[self._at].first_recorded_at <= recorded_at:
            self._rows.append(packed((recorded_at, lane, offset, *row[4:16], content_hash, *row[16:])))
        elif self._at == 0:
            self._head = blake2b(self._head + content_hash, digest_size=16).digest()
        else:
            findings.differ(LANES, key, None, {"stored_outside_of_any_link": recorded_at})

    def end(self, findings: Findings) -> tuple[int, bytes]:
        while self._at < len(self._links):
            self._close(findings)
        return (self._links[-1].seq if self._links else 0), self._head

    def _close(self, findings: Findings) -> None:
        link = self._links[self._at]
        corrections = self._corrections_of(link)
        # From the next link on the kept head is believed, so that one change is one finding.
        head = head_after(self._head, link, (*self._rows, *corrections))
        expected = {"seq": self._at + 1, "previous_head": self._head, "head": head}
        expected |= {"events": len(self._rows), "corrections": len(corrections)}
        actual = {"seq": link.seq, "previous_head": link.previous_head, "head": link.head}
        actual |= {"events": link.events, "corrections": link.corrections}
        findings.compare(LANES, link.key, expected, actual)
        self._at, self._head, self._rows = self._at + 1, link.head, []

    def _corrections_of(self, link: Link) -> list[bytes]:
        first = self._corrections_at
        while (
            self._corrections_at < len(self._corrections)
            and self._corrections[self._corrections_at][12] <= link.last_recorded_at
        ):
            self._corrections_at += 1
        rows = self._corrections[first : self._corrections_at]
        return [packed(row) for row in rows if row[12] >= link.first_recorded_at]


def head_after(previous_head: bytes, link: Link, rows: Iterable[bytes]) -> bytes:
    """BLAKE2b-256 of the previous head, of what the link says of itself, and of its packed rows."""
    digest = blake2b(previous_head + link.packed, digest_size=32)
    for row in rows:
        digest.update(row)
    return digest.digest()


def packed(row: Iterable[Any]) -> bytes:
    """A row as the chain takes it in: a MessagePack array of its columns, each in its shortest form."""
    columns = [_packed(value) for value in row]
    count = len(columns)
    return (bytes((0x90 | count,)) if count < 16 else struct.pack(">BH", 0xDC, count)) + b"".join(columns)


def _packed(value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, datetime):
        return _number((value - _EPOCH) // _MICROSECOND)
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, bytes):
        return _sized(value, None, (0xC4, 0xC5, 0xC6))
    if isinstance(value, date):
        return _text(value.isoformat())
    return _text(str(value))


def _text(value: str) -> bytes:
    return _sized(value.encode(), 0xA0, (0xD9, 0xDA, 0xDB))


def _sized(body: bytes, short: int | None, marks: tuple[int, int, int]) -> bytes:
    length = len(body)
    if short is not None and length < 32:
        return bytes((short | length,)) + body
    if length < 1 << 8:
        return struct.pack(">BB", marks[0], length) + body
    if length < 1 << 16:
        return struct.pack(">BH", marks[1], length) + body
    return struct.pack(">BI", marks[2], length) + body


def _number(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes((value,))
    if -32 <= value < 0:
        return struct.pack(">b", value)
    forms = ((0xCC, "B"), (0xCD, "H"), (0xCE, "I"), (0xCF, "Q")) if value >= 0 else _NEGATIVE
    for mark, form in forms:
        bits = 8 * struct.calcsize(">" + form)
        if (value < 1 << bits) if value >= 0 else (value >= -(1 << (bits - 1))):
            return struct.pack(f">B{form}", mark, value)
    raise OverflowError(f"{value} is no 64-bit integer")


_NEGATIVE: Final = ((0xD0, "b"), (0xD1, "h"), (0xD2, "i"), (0xD3, "q"))
