"""Growing the stream to more lanes: a plan first, only while nothing moves, and in steps that can be taken up again.

The database goes first. From its commit on no worker can claim a lane, because topics and database differ, until the
last topic has grown: what was begun is finished by running the same command again. The feeds grow last, and of these
finance-events, so that nothing is left to do when a worker can start.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

import sql
from pipeline.errors import SettingsRefused, TopicMismatch
from pipeline.status import LaneStatus, StreamStatus
from pipeline.storage.audit import audit
from pipeline.topics import grow_topic
from pipeline.translate import database_errors
from schemas.routing import home_lane
from schemas.topics import Feed, topics

LANES_MAX: Final = 1024  # as FOLIO_KAFKA_LANES

Reach = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Growth:
    """What is left to do: lanes to make in the database, unless that is done, and topics to grow, in this order."""

    known: int  # lanes that the database knows
    target: int
    topics: tuple[str, ...]

    @property
    def begins(self) -> bool:
        """Whether the database has still to grow; else an earlier run was interrupted after that."""
        return self.known < self.target


def in_growing_order(prefix: str) -> list[str]:
    """Every topic: those that are consumed last, and finance-events the very last."""
    return [spec.name for spec in reversed(topics(prefix))]


def plan_growth(known: int, partitions: Mapping[str, int], target: int) -> Growth:
    """What would bring database and topics to `target` lanes. `partitions` are in growing order.

    Raises SettingsRefused for a target that is none, TopicMismatch for topics that no run of ours has left so.
    """
    counts = list(partitions.values())
    least = counts[-1]
    interrupted = known > least
    grown = sum(count == known for count in counts) if interrupted else 0
    if counts != [known] * grown + [least] * (len(counts) - grown) or (0 < known < least):
        found = ", ".join(f"{name} has {count}" for name, count in partitions.items())
        raise TopicMismatch(
            f"the database knows {known} lanes, and {found} partitions: no growth of ours has left them so. Topics "
            "that were grown by hand must be created anew with as many partitions as there are lanes"
        )
    if interrupted and target != known:
        raise SettingsRefused(f"--lanes {target}: a growth to {known} lanes was interrupted; finish it first")
    if not interrupted and target <= least:
        raise SettingsRefused(f"--lanes {target}: there are {least} lanes, and lanes are only ever added")
    if target > LANES_MAX:
        raise SettingsRefused(f"--lanes {target}: at most {LANES_MAX} are accepted")
    return Growth(known, target, tuple(name for name, count in partitions.items() if count < target))


def require_nobody(members: Sequence[str]) -> None:
    """Raises SettingsRefused while the group has members."""
    if members:
        raise SettingsRefused(
            f"{', '.join(sorted(members))}: still in the group. Stop the workers first; one that was killed, or is a "
            "static member, stays in it for FOLIO_KAFKA_SESSION_TIMEOUT_SECONDS"
        )


def require_drained(status: StreamStatus) -> None:
    """Raises SettingsRefused while records wait in a lane, or updates in its outbox."""
    waiting = [_waiting(lane) for lane in status.lanes if lane.lag_records or lane.unpublished or lane.uninvalidated]
    if waiting:
        raise SettingsRefused(
            f"{'; '.join(waiting)}. Stop the producers, let the workers come to the end, stop them, and run this again"
        )


def _waiting(lane: LaneStatus) -> str:
    return (
        f"lane {lane.lane}: {lane.lag_records:,} records to consume, {lane.unpublished:,} batches to publish, "
        f"{lane.uninvalidated:,} to invalidate"
    )


async def grow_database(
    connection: asyncpg.Connection, growth: Growth, drained: StreamStatus, who: str, reach: Reach
) -> None:
    """Make the new lanes in one transaction that holds every lane, and shut out whoever believes to own one.

    Raises SettingsRefused when a lane has moved on since it was found drained.
    """
    with database_errors("growing the lanes"):
        async with connection.transaction():
            rows = await connection.fetch(sql.query("lock_lanes"))
            if len(rows) != growth.known or not all(map(_stands, rows, drained.lanes)):
                raise SettingsRefused("the lanes have moved on meanwhile: stop the workers, and run this again")
            await connection.execute(sql.query("ensure_lanes"), growth.target)
            if rows:
                latest = max(row["last_recorded_at"] for row in rows)
                revision = max(row["properties_revision"] for row in rows) + 1
                await connection.execute(sql.query("grow_lanes"), growth.target, latest, revision)
                await _move_pauses(connection, growth)
            await _leave_trace(connection, growth, who)
            reach("lanes_locked")
    reach("lanes_grown")


def _stands(row: asyncpg.Record, found: LaneStatus) -> bool:
    """Whether the lane is where it was found, with nothing in its outbox."""
    positions = {Feed.EVENTS: row["finance_position"], Feed.CORRECTIONS: row["corrections_position"]}
    marks = {row["outbox_seq"], row["published_seq"], row["invalidated_seq"]}
    return len(marks) == 1 and all(at in (None, found.feeds[feed].position) for feed, at in positions.items())


async def _move_pauses(connection: asyncpg.Connection, growth: Growth) -> None:
    """Paused organisations stay so: counted where they are at home now, and on the new lanes as well."""
    await connection.execute(sql.query("extend_pauses"), growth.known, growth.target)
    counts = Counter[int]()
    for paused in await connection.fetch(sql.query("open_pauses")):
        counts[home_lane(paused["org_id"], growth.known)] -= 1
        counts[home_lane(paused["org_id"], growth.target)] += 1
    for lane, more in sorted(counts.items()):
        await connection.execute(sql.query("count_paused_org"), lane, more)


async def note_resumption(connection: asyncpg.Connection, growth: Growth, who: str) -> None:
    """Leave the row of a run that goes on with an interrupted one."""
    with database_errors("writing the operators' audit"):
        await _leave_trace(connection, growth, who)


async def _leave_trace(connection: asyncpg.Connection, growth: Growth, who: str) -> None:
    detail = {"from": growth.known, "to": growth.target, "topics": growth.topics}
    await audit(connection, who, "topics repartition", detail)


async def grow_topics(bootstrap: str, growth: Growth, reach: Reach) -> None:
    """Grow one topic after the other."""
    for name in growth.topics:
        await grow_topic(bootstrap, name, growth.target)
        reach("topic_grown")
