"""The hash chain over what is stored: one link for each lane and batch, over every column of its rows.

head = BLAKE2b-256(previous head || link || row || row …), the stored events of the batch and then its corrections, each
in the order of recording. A link and a row are MessagePack arrays of their columns, as msgspec writes them: canonical
for these types (shortest integers, no floats, no maps), instants are microseconds since 2000-01-01T00:00Z, days and
UUIDs are text, absent is nil. Version 1 of it is frozen; docs/tamper-evidence.md tells it so that a stranger can
verify it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

CHAIN_VERSION: Final = 1
HEAD_BYTES: Final = 32

# MessagePack writes the length of an array of so many into its first byte, of more (below 65,536) into two behind it.
_FIXARRAY_MAX: Final = 15
# A row for each call of the encoder and the hasher costs twice as much. So many are some 130 KB, and stay in the cache.
_ROWS_A_CALL: Final = 256

_encode = msgspec.msgpack.Encoder().encode

# The columns of a row in their order, as the tables name them.
EVENT_COLUMNS: Final = (
    "recorded_at",
    "lane",
    "record_offset",
    "org_id",
    "aggregate_type",
    "aggregate_id",
    "version",
    "event_type",
    "event_id",
    "property_id",
    "balance_date",
    "occurred_at",
    "appended_at",
    "outcome",
    "hash_version",
    "content_hash",
    "event_data",
    "headers",
)
CORRECTION_COLUMNS: Final = (
    "org_id",
    "correction_id",
    "property_id",
    "balance_date",
    "kind",
    "declared_closing_cents",
    "hash_version",
    "content_hash",
    "lane",
    "record_offset",
    "finance_position",
    "appended_at",
    "recorded_at",
    "issued_at",
    "recorded_by_user_id",
    "reason",
    "correction_data",
    "headers",
)


@dataclass(frozen=True, slots=True)
class LinkId:
    """What a link says of itself: whose batch it was, under which claim and on which primary, and how much it holds."""

    lane: int
    seq: int
    batch_id: UUID
    owner_epoch: int
    cluster_epoch: str
    events: int
    corrections: int


class ChainHead(msgspec.Struct, frozen=True):
    """The head of a lane's chain after a batch, as the topic `chain-heads` has it; the head is in hex."""

    lane: int
    seq: int
    head: str
    batch_id: UUID
    owner_epoch: int
    cluster_epoch: str
    events: int
    corrections: int


class Linking:
    """A link while its rows are taken in, events first."""

    __slots__ = ("_hasher", "_rows")

    def __init__(self, previous_head: bytes, link: LinkId) -> None:
        self._hasher = blake2b(previous_head, digest_size=HEAD_BYTES)
        self._rows: list[Sequence[Any]] = []  # not hashed yet
        self._hasher.update(
            _encode(
                (
                    CHAIN_VERSION,
                    link.lane,
                    link.seq,
                    str(link.batch_id),
                    link.owner_epoch,
                    link.cluster_epoch,
                    link.events,
                    link.corrections,
                )
            )
        )

    def add(self, row: Sequence[Any]) -> None:
        """The next row: EVENT_COLUMNS or CORRECTION_COLUMNS, instants as numbers."""
        self._rows.append(row)
        if len(self._rows) == _ROWS_A_CALL:
            self._take_in()

    @property
    def head(self) -> bytes:
        self._take_in()
        return self._hasher.digest()

    def _take_in(self) -> None:
        """Hash what waits: the array of the rows is a header, and then the rows as each is on its own."""
        header = 1 if len(self._rows) <= _FIXARRAY_MAX else 3
        self._hasher.update(memoryview(_encode(self._rows))[header:])
        self._rows.clear()


def head_after(previous_head: bytes, link: LinkId, rows: Iterable[Sequence[Any]]) -> bytes:
    """The 32 bytes that stand for a lane's whole history up to this link."""
    linking = Linking(previous_head, link)
    for row in rows:
        linking.add(row)
    return linking.head


encode_head = msgspec.json.Encoder().encode
decode_head = msgspec.json.Decoder(ChainHead).decode
