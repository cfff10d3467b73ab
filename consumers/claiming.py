"""Taking lanes over: one transaction that shuts the predecessor out and reads where it had come to."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import timedelta

import asyncpg

import sql
from consumers.pausing import Pause
from consumers.primary import require_primary
from pipeline.errors import Fatal, FenceLost, OffsetExpired, TopicAltered, TopicMismatch
from pipeline.translate import database_errors
from schemas.lanes import Claim, LastRecord, Standing
from schemas.topics import Feed


@dataclass(frozen=True, slots=True)
class TopicRange:
    """What the broker holds of a partition: offsets from `beginning` up to, and without, `end`."""

    beginning: int
    end: int


@dataclass(frozen=True, slots=True)
class RecordedRules:
    """By what this worker will judge, as it is recorded with each lane."""

    past_max: timedelta
    future_max: timedelta
    default_currency: str
    default_time_zone: str
    unknown_property: str  # register, or quarantine


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims, lanes of which topics, and by what it will judge their records."""

    owner: str
    topics: Mapping[Feed, str]  # as they are called on this cluster
    lane_count: int
    rules: RecordedRules
    retention_months: int  # for which it keeps rows of transactions


@dataclass(frozen=True, slots=True)
class ClaimedLane:
    """A lane that is ours, and why it is not fetched, where it is paused."""

    claim: Claim
    pause: Pause | None = None
    was_stopped: bool = False  # and says so, until somebody has looked whether it can go on


async def claim_lanes(connection: asyncpg.Connection, claimant: Claimant, lanes: Collection[int]) -> list[ClaimedLane]:
    """Raise the epoch of every one of `lanes`, in ascending order, in one transaction.

    Waits for batches of the old owner that hold the rows. What an owner records of its lanes, it records while it
    holds them: one that was stalled since could otherwise overwrite what its successor has recorded.
    Raises TopicMismatch when the database knows another number of lanes.
    """
    with database_errors("claiming lanes"):
        async with connection.transaction():
            await _require_lanes(connection, claimant.lane_count)
            await connection.execute(sql.query("ensure_lanes"), claimant.lane_count)
            cluster_epoch = await connection.fetchval(sql.query("cluster_epoch"))
            claimed = [await _take_over(connection, claimant, lane, cluster_epoch) for lane in sorted(lanes)]
            # Again: a growth that held the rows while we waited for them has made lanes since.
            await _require_lanes(connection, claimant.lane_count)
            return claimed


async def _require_lanes(connection: asyncpg.Connection, lane_count: int) -> None:
    known = await connection.fetchval(sql.query("count_lanes"))
    if known not in (0, lane_count):
        raise TopicMismatch(
            f"the database knows {known} lanes, the topic has {lane_count} partitions: a topic is grown by a drained "
            "command (`folio topics repartition`, run again where it was interrupted), never by adding partitions "
            "under a running stream"
        )


async def _take_over(connection: asyncpg.Connection, claimant: Claimant, lane: int, cluster_epoch: str) -> ClaimedLane:
    row = await connection.fetchrow(sql.query("claim_lane"), lane, claimant.owner, claimant.retention_months)
    assert row is not None, "every lane was given a row above"
    claim = _claim(row, cluster_epoch)
    positions = [claim.standings[feed].position or 0 for feed in Feed]
    await connection.execute(sql.query("record_rules"), lane, *positions, *astuple(claimant.rules), claimant.lane_count)
    pause = Pause(row["paused_by"], row["pause_reason"]) if row["paused_by"] is not None else None
    return ClaimedLane(claim, pause, row["stopped_reason"] is not None)


def _claim(row: asyncpg.Record, cluster_epoch: str) -> Claim:
    return Claim(
        lane=row["lane"],
        epoch=row["owner_epoch"],
        cluster_epoch=cluster_epoch,
        standings={
            Feed.EVENTS: _standing(row, "finance_position", ""),
            Feed.CORRECTIONS: _standing(row, "corrections_position", "corrections_"),
        },
        outbox_seq=row["outbox_seq"],
        published_seq=row["published_seq"],
        invalidated_seq=row["invalidated_seq"],
        poison_accepted_until=row["poison_accepted_until"],
    )


def _standing(row: asyncpg.Record, position: str, prefix: str) -> Standing:
    last = None
    if row[f"{prefix}last_offset"] is not None:
        last = LastRecord(
            row[f"{prefix}last_offset"], row[f"{prefix}last_appended_at"], row[f"{prefix}last_record_hash"]
        )
    return Standing(row[position], last)


async def tell_stopped(connection: asyncpg.Connection, claim: Claim, reason: str | None) -> None:
    """Tell whoever asks the database why the lane does not go on; None: it does. Raises FenceLost."""
    await require_primary(connection, claim.cluster_epoch)
    with database_errors("telling that a lane is stopped"):
        told = await connection.fetchval(sql.query("stop_lane"), claim.lane, claim.epoch, reason)
    if told is None:
        raise FenceLost(f"lane {claim.lane} was claimed by another worker")


def starts_and_stops(
    topics: Mapping[Feed, str], claimed: Iterable[ClaimedLane], held: Mapping[int, Mapping[Feed, TopicRange]]
) -> tuple[dict[int, dict[Feed, int]], dict[int, Fatal]]:
    """By lane, of each feed the offset to fetch from; or why the lane cannot go on.

    `held` is what the broker said after the claim: see start_position.
    """
    starts: dict[int, dict[Feed, int]] = {}
    stops: dict[int, Fatal] = {}
    for claim in [each.claim for each in claimed]:
        try:
            starts[claim.lane] = {
                feed: start_position(
                    f"{topics[feed]}, lane {claim.lane}", claim.standings[feed], held[claim.lane][feed]
                )
                for feed in Feed
            }
        except (OffsetExpired, TopicAltered) as error:
            stops[claim.lane] = error
    return starts, stops


def start_position(where: str, standing: Standing, held: TopicRange) -> int:
    """The offset to fetch from: the last consumed record where the topic still has it, so that it can be recognised.

    Raises OffsetExpired when records after the position are gone, TopicAltered when the topic ends before it: its end
    as it was after the position was read. An end from before it is one that others have written and consumed past.
    """
    if standing.position is None:
        return held.beginning
    if standing.position < held.beginning:
        raise OffsetExpired(
            f"{where}: records {standing.position} to {held.beginning - 1} have left the topic before they were "
            f"consumed ({held.beginning - standing.position} lost). Restore them, or move the lane on by hand "
            f"(`folio positions set`, to {held.beginning}) and let the producer send them again"
        )
    if standing.position > held.end:
        raise TopicAltered(
            f"{where}: the lane stands at {standing.position}, the topic ends at {held.end}. It was recreated or cut: "
            "point the stream at the topic that it consumed, or begin with an empty database"
        )
    # Behind the position, it was moved back by hand: what lies between is to be consumed again.
    if standing.last is not None and held.beginning <= standing.last.offset < standing.position:
        return standing.last.offset
    return standing.position
