"""Taking lanes over: one transaction that shuts the predecessor out and reads where it had come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

import sql
from pipeline.errors import OffsetExpired, TopicAltered, TopicMismatch
from pipeline.translate import database_errors
from schemas.lanes import Claim, LastRecord


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


async def claim_lanes(connection: asyncpg.Connection, lanes: Iterable[int], lane_count: int, owner: str) -> list[Claim]:
    """Raise the epoch of every lane, in ascending order. Waits for batches of the old owner that hold the rows."""
    with database_errors("claiming lanes"):
        async with connection.transaction():
            known = await connection.fetchval(sql.query("count_lanes"))
            if known not in (0, lane_count):
                raise TopicMismatch(
                    f"the database knows {known} lanes, the topic has {lane_count} partitions: a topic is grown by "
                    "a drained command, never by adding partitions under a running stream"
                )
            await connection.execute(sql.query("ensure_lanes"), lane_count)
            return [await _claim(connection, lane, owner) for lane in sorted(lanes)]


async def _claim(connection: asyncpg.Connection, lane: int, owner: str) -> Claim:
    row = await connection.fetchrow(sql.query("claim_lane"), lane, owner)
    assert row is not None, "every lane was given a row above"
    last = None
    if row["last_offset"] is not None:
        last = LastRecord(row["last_offset"], row["last_appended_at"], row["last_record_hash"])
    return Claim(
        lane=row["lane"],
        epoch=row["owner_epoch"],
        position=row["finance_position"],
        last=last,
        outbox_seq=row["outbox_seq"],
        published_seq=row["published_seq"],
        invalidated_seq=row["invalidated_seq"],
    )


async def record_rules(connection: asyncpg.Connection, lane: int, position: int, rules: RecordedRules) -> None:
    """Remember by what the records from `position` on are judged."""
    with database_errors("recording the rules"):
        await connection.execute(
            sql.query("record_rules"),
            lane,
            position,
            rules.past_max,
            rules.future_max,
            rules.default_currency,
            rules.default_time_zone,
        )


async def stop_lane(connection: asyncpg.Connection, claim: Claim, reason: str) -> None:
    """Tell whoever asks the database why the lane does not go on."""
    with database_errors("stopping a lane"):
        await connection.execute(sql.query("stop_lane"), claim.lane, claim.epoch, reason)


def start_position(topic: str, claim: Claim, held: TopicRange) -> int:
    """The offset to fetch from: the last consumed record where the topic still has it, so that it can be recognised.

    Raises OffsetExpired when records after the position are gone, TopicAltered when the topic ends before it.
    """
    if claim.position is None:
        return held.beginning
    where = f"{topic}, lane {claim.lane}"
    if claim.position < held.beginning:
        raise OffsetExpired(
            f"{where}: records {claim.position} to {held.beginning - 1} have left the topic before they were consumed "
            f"({held.beginning - claim.position} lost). Restore them, or move the lane on by hand "
            f"(ops.lanes.finance_position = {held.beginning}) and let the producer send them again"
        )
    if claim.position > held.end:
        raise TopicAltered(
            f"{where}: the lane stands at {claim.position}, the topic ends at {held.end}. It was recreated or cut: "
            "point the stream at the topic that it consumed, or begin with an empty database"
        )
    has_last = claim.last is not None and claim.last.offset >= held.beginning
    return claim.last.offset if has_last and claim.last is not None else claim.position
