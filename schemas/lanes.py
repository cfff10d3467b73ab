"""Lanes: partition p of each feed, with their positions, one epoch, and the records between two positions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Final
from uuid import UUID

from schemas.records import Judged, Origin, org_of
from schemas.topics import Feed

# Nothing was appended before: the breaker counts everything.
NOTHING_ACCEPTED: Final = datetime(1970, 1, 1, tzinfo=UTC)
Positions = Mapping[tuple[int, Feed], int]  # by lane and feed, the next offset


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
class Standing:
    """How far a lane has consumed a feed. `position` is the next offset; None where it has consumed nothing yet."""

    position: int | None = None
    last: LastRecord | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A lane as its new owner found it. It ends with the primary that it was made on, which `cluster_epoch` names."""

    lane: int
    epoch: int
    cluster_epoch: str
    standings: Mapping[Feed, Standing]
    outbox_seq: int
    published_seq: int
    invalidated_seq: int
    poison_accepted_until: datetime = NOTHING_ACCEPTED


@dataclass(frozen=True)
class LaneSlice:
    """Records that a lane has of one feed, in offset order: everything from `start` up to, and without, `end`.

    `epoch` is the claim under which they were read. The books take a slice only if that claim still holds and the
    lane stands at `start`.
    """

    lane: int
    epoch: int
    start: int
    end: int
    records: Sequence[Judged]
    feed: Feed = Feed.EVENTS

    @cached_property
    def orgs(self) -> Mapping[int | None, int]:
        """How many of the records each organisation has; None: those that were rejected."""
        return Counter(map(org_of, self.records))


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction takes: slices of one or more lanes, in lane order, at most one of each feed of a lane."""

    batch_id: UUID
    slices: tuple[LaneSlice, ...]

    @property
    def rows(self) -> int:
        return sum(len(slice_.records) for slice_ in self.slices)

    @property
    def lanes(self) -> list[int]:
        return sorted({slice_.lane for slice_ in self.slices})

    @property
    def epochs(self) -> dict[int, int]:
        """Lane to the claim under which its records were read."""
        return {slice_.lane: slice_.epoch for slice_ in self.slices}

    @property
    def ends(self) -> "Positions":
        """Where the lanes stand behind the batch."""
        return {(slice_.lane, slice_.feed): slice_.end for slice_ in self.slices}

    def of(self, feed: Feed) -> list[LaneSlice]:
        """The slices of one feed, in lane order."""
        return [slice_ for slice_ in self.slices if slice_.feed is feed]
