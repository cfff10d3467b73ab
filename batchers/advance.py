"""Moving the lanes past a batch: position, counters, chain; the last step before COMMIT."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

import sql
from batchers.decide import Decisions, Outcome
from batchers.fence import LockedLane
from batchers.linking import Link
from batchers.outbox import OutboxRow
from schemas.instants import Instant, instant_of
from schemas.lanes import Batch, LaneSlice, last_record
from schemas.routing import home_lane
from schemas.topics import Feed


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch has done, as far as the lanes keep count of it."""

    decisions: Decisions
    links: Mapping[int, Link]
    outbox: Sequence[OutboxRow]
    last_recorded_at: Instant
    lane_count: int


async def advance_lanes(
    connection: asyncpg.Connection, batch: Batch, locked: Mapping[int, LockedLane], result: BatchResult
) -> None:
    """Each lane of the batch now stands behind its slices."""
    by_lane: dict[int, dict[Feed, LaneSlice]] = {}
    for slice_ in batch.slices:
        by_lane.setdefault(slice_.lane, {})[slice_.feed] = slice_
    await connection.executemany(
        sql.query("advance_lane"),
        [_arguments(batch.batch_id, slices, locked[lane], result) for lane, slices in by_lane.items()],
    )
    homes = sorted(locked.keys() - by_lane.keys())
    if homes:
        await connection.execute(sql.query("stamp_homes"), homes, result.last_recorded_at)


def _arguments(
    batch_id: UUID, slices: Mapping[Feed, LaneSlice], lane: LockedLane, result: BatchResult
) -> tuple[object, ...]:
    """The arguments of advance_lane: where the lane stands after the batch, and what became of its records."""
    outcomes = result.decisions.outcomes.get(lane.lane, {})
    misrouted = sum(
        count
        for slice_ in slices.values()
        for org_id, count in slice_.orgs.items()
        if org_id is not None and home_lane(org_id, result.lane_count) != lane.lane
    )
    return (
        lane.lane,
        batch_id,
        *_standing(slices.get(Feed.EVENTS)),
        *_standing(slices.get(Feed.CORRECTIONS)),
        result.last_recorded_at,
        *_chained(lane, result.links.get(lane.lane)),
        lane.outbox_seq + sum(row.lane == lane.lane for row in result.outbox),
        *(outcomes.get(outcome, 0) for outcome in Outcome),
        misrouted,
        result.decisions.version_gaps.get(lane.lane, 0),
        sum(len(slice_.records) for slice_ in slices.values()),
    )


def _standing(slice_: LaneSlice | None) -> tuple[object, ...]:
    """Position and last record of a feed after the batch; of a feed that it does not touch, nothing."""
    if slice_ is None:
        return (None, None, None, None)
    last = last_record(slice_.records[-1].origin)
    return (slice_.end, last.offset, instant_of(last.appended_at), last.digest)


def _chained(lane: LockedLane, link: Link | None) -> tuple[int, bytes]:
    """Number and head of the lane's newest link after the batch."""
    return (link.id.seq, link.head) if link is not None else (lane.chain_seq, lane.chain_head)
