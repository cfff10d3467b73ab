"""The fence: a batch goes in only while its claim of every lane holds and the lane stands where the batch begins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg

import sql
from pipeline.errors import FenceLost
from schemas.instants import Instant
from schemas.lanes import Batch
from schemas.routing import home_lane
from schemas.topics import Feed


@dataclass(frozen=True, slots=True)
class LockedLane:
    """A row of ops.lanes while this transaction holds its lock."""

    lane: int
    owner_epoch: int
    batch_id: UUID | None
    finance_position: int | None
    corrections_position: int | None
    outbox_seq: int
    last_recorded_at: Instant
    chain_seq: int
    chain_head: bytes
    properties_revision: int
    paused_orgs: int

    def position(self, feed: Feed) -> int | None:
        """The next offset of a feed; None before its first batch."""
        return self.finance_position if feed is Feed.EVENTS else self.corrections_position


def lanes_to_lock(batch: Batch, lane_count: int) -> set[int]:
    """The batch's own lanes, and the home lanes of its organisations.

    A record that its producer put on another partition than the organisation's home still meets every other writer of
    that organisation: at the lock of the home lane.
    """
    return set(batch.lanes) | {
        home_lane(org_id, lane_count) for slice_ in batch.slices for org_id in slice_.orgs if org_id is not None
    }


async def lock_lanes(connection: asyncpg.Connection, lanes: Iterable[int]) -> dict[int, LockedLane]:
    """Wait for the rows, in ascending order, and read them as they then are."""
    rows = await connection.fetch(sql.query("fence"), sorted(lanes))
    return {row["lane"]: LockedLane(*row) for row in rows}


def recording_instant(now: Instant, locked: Mapping[int, LockedLane]) -> Instant:
    """Now, or just after the last instant of any locked lane: clocks step back, and differ between workers.

    The home lanes count as well: an organisation's events on two lanes are recorded in the order of their commits.
    """
    return max(now, max(lane.last_recorded_at for lane in locked.values()) + 1)


def check_fence(batch: Batch, locked: Mapping[int, LockedLane]) -> None:
    """Raises FenceLost where a lane was claimed by another worker, or does not stand where the batch begins."""
    for slice_ in batch.slices:
        lane = locked.get(slice_.lane)
        if lane is None:
            raise FenceLost(f"lane {slice_.lane} is unknown to the database")
        if lane.owner_epoch != slice_.epoch:
            raise FenceLost(f"lane {slice_.lane} is in epoch {lane.owner_epoch}, our claim was {slice_.epoch}")
        position = lane.position(slice_.feed)
        if position is not None and position != slice_.start:
            raise FenceLost(
                f"lane {slice_.lane} stands at {position} of {slice_.feed}, our batch begins at {slice_.start}"
            )


def already_committed(batch: Batch, locked: Mapping[int, LockedLane]) -> bool:
    """Whether an earlier attempt at this very batch went in, though the answer to its COMMIT was lost."""
    return all(
        (lane := locked.get(slice_.lane)) is not None
        and lane.batch_id == batch.batch_id
        and lane.owner_epoch == slice_.epoch
        for slice_ in batch.slices
    )
