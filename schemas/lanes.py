"""Lanes: a partition of the topics with its position, its epoch, and the records between two positions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

from schemas.records import Judged, Origin


@dataclass(frozen=True, slots=True)
class LastRecord:
    """What tells our topic from another of the same name: the last record that a lane consumed."""

    offset: int
    appended_at: datetime
    digest: bytes


def last_record(origin: Origin) -> LastRecord:
    return LastRecord(origin.offset, origin.appended_at, record_digest(origin))


def record_digest(origin: Origin) -> bytes:
    """BLAKE2b-128 of the record's key and value."""
    digest = blake2b(origin.key or b"", digest_size=16)
    digest.update(b"\x00")
    digest.update(origin.value or b"")
    return digest.digest()


@dataclass(frozen=True, slots=True)
class Claim:
    """A lane as its new owner found it. `position` is the next offset; None where the lane never consumed."""

    lane: int
    epoch: int
    position: int | None
    last: LastRecord | None
    outbox_seq: int
    published_seq: int
    invalidated_seq: int


@dataclass(frozen=True, slots=True)
class LaneSlice:
    """Records of one lane, in offset order: everything from `start` up to, and without, `end`.

    `epoch` is the claim under which they were read. The books take a slice only if that claim still holds and the
    lane stands at `start`.
    """

    lane: int
    epoch: int
    start: int
    end: int
    records: Sequence[Judged]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction takes: slices of one or more lanes, in lane order."""

    batch_id: UUID
    slices: tuple[LaneSlice, ...]

    @property
    def rows(self) -> int:
        return sum(len(slice_.records) for slice_ in self.slices)

    @property
    def lanes(self) -> list[int]:
        return [slice_.lane for slice_ in self.slices]
