"""How the stream stands: lag, rates, outcomes, batch sizes; the same whether workers run or not."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

import sql
from pipeline.onlooker import new_onlooker
from pipeline.pauses import OrgPause, open_pauses
from pipeline.settings import DatabaseSettings
from pipeline.stack import Endpoints
from pipeline.storage.connect import connect
from pipeline.storage.migrate import require_schema
from pipeline.topics import lane_count
from pipeline.translate import broker_errors, database_errors
from schemas.topics import Feed

OUTCOMES = ("applied", "duplicate", "stale", "conflict", "quarantined")
# A record that waits is fetched to learn its age; a broker that has it answers well within this.
_RECORD_MS_MAX = 1_000
LaneRows = Mapping[int, asyncpg.Record]


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How far a lane is in one feed. `lag_seconds` is the age of the oldest record that is not committed, or 0.

    `passed_over` counts offsets from the position to the end where those hold no record that anybody gets: the marks
    of transactions, and what these aborted.
    """

    position: int
    end: int
    lag_seconds: float
    passed_over: int = 0

    @property
    def lag_records(self) -> int:
        return max(self.end - self.position - self.passed_over, 0)


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One lane, over both feeds."""

    lane: int
    owner: str | None
    owner_epoch: int
    feeds: Mapping[Feed, FeedStatus]
    outcomes: Mapping[str, int]
    misrouted: int
    version_gaps: int
    batches: int
    last_batch_rows: int
    unpublished: int
    uninvalidated: int
    stopped_reason: str | None
    paused_by: str | None
    pause_reason: str | None

    @property
    def lag_records(self) -> int:
        return sum(feed.lag_records for feed in self.feeds.values())

    @property
    def lag_seconds(self) -> float:
        return max(feed.lag_seconds for feed in self.feeds.values())


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """All lanes at one moment (monotonic seconds `at`)."""

    at: float
    lanes: tuple[LaneStatus, ...]
    paused_orgs: tuple[OrgPause, ...] = ()

    @property
    def consumed(self) -> int:
        return sum(sum(lane.outcomes.values()) for lane in self.lanes)

    @property
    def lag_records(self) -> int:
        return sum(lane.lag_records for lane in self.lanes)

    @property
    def lag_seconds(self) -> float:
        return max((lane.lag_seconds for lane in self.lanes), default=0.0)

    @property
    def unpublished(self) -> int:
        return sum(lane.unpublished for lane in self.lanes)

    @property
    def batches(self) -> int:
        return sum(lane.batches for lane in self.lanes)

    def outcomes(self) -> dict[str, int]:
        return {outcome: sum(lane.outcomes[outcome] for lane in self.lanes) for outcome in OUTCOMES}


@dataclass(frozen=True, slots=True)
class CommittedCounts:
    """What the lanes say by themselves: records committed, and outbox rows not yet published."""

    consumed: int
    unpublished: int


async def lane_rows(connection: asyncpg.Connection) -> LaneRows:
    """What the books say of each lane that was claimed at some time."""
    with database_errors("reading the lanes"):
        return {row["lane"]: row for row in await connection.fetch(sql.query("lane_status"))}


class LaneTopics:
    """What the broker says of the lanes' topics, to whoever knows the lanes' rows."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: Mapping[Feed, str], lanes: int) -> None:
        self._partitions = {
            TopicPartition(topic, lane): (lane, feed) for lane in range(lanes) for feed, topic in topics.items()
        }
        self._consumer = consumer

    async def feeds(self, rows: LaneRows) -> dict[int, dict[Feed, FeedStatus]]:
        """How far each lane is in each feed. One that no worker has claimed yet counts from the start of the topic."""
        with broker_errors("asking for the ends of the lanes"):
            ends = await self._consumer.end_offsets(list(self._partitions))
            beginnings = await self._consumer.beginning_offsets(list(self._partitions))
            positions = {
                partition: _position(rows.get(lane), feed, beginnings[partition])
                for partition, (lane, feed) in self._partitions.items()
            }
            waiting = {partition: position for partition, position in positions.items() if position < ends[partition]}
            oldest = await self._oldest(waiting, beginnings, ends)
        feeds: dict[int, dict[Feed, FeedStatus]] = {}
        for partition, (lane, feed) in self._partitions.items():
            status = FeedStatus(positions[partition], ends[partition], *oldest.get(partition, (0.0, 0)))
            feeds.setdefault(lane, {})[feed] = status
        return feeds

    async def _oldest(
        self,
        waiting: Mapping[TopicPartition, int],
        beginnings: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, tuple[float, int]]:
        """Partition to the age in seconds of its oldest waiting record, read from the topic itself.

        Where there is none up to the end: to 0, and how many offsets were passed over on the way.
        """
        if not waiting:
            return {}
        self._consumer.assign(list(waiting))
        for partition, position in waiting.items():
            self._consumer.seek(partition, max(position, beginnings[partition]))
        found: dict[TopicPartition, tuple[float, int]] = {}
        for partition, position in waiting.items():
            # One record: the rest of what the broker sends along is not even parsed.
            fetched = await self._consumer.getmany(partition, timeout_ms=_RECORD_MS_MAX, max_records=1)
            for records in fetched.values():
                appended_at = datetime.fromtimestamp(records[0].timestamp / 1000, UTC)
                found[partition] = ((datetime.now(UTC) - appended_at).total_seconds(), 0)
            # The client's position moves over what it passes over, too.
            if not fetched and await self._consumer.position(partition) >= ends[partition]:
                found[partition] = (0.0, ends[partition] - position)
        return found


class StatusReader:
    """Reads the status again and again over connections that stay open. Made by `open_status`."""

    def __init__(self, connection: asyncpg.Connection, topics: LaneTopics) -> None:
        self._connection = connection
        self._topics = topics

    async def read(self) -> StreamStatus:
        """The status now. Lanes that no worker has claimed yet count from the start of the topic."""
        rows = await lane_rows(self._connection)
        feeds = await self._topics.feeds(rows)
        found = tuple(_lane(lane, rows.get(lane), feeds[lane]) for lane in sorted(feeds))
        return StreamStatus(time.monotonic(), found, tuple(await open_pauses(self._connection)))

    async def committed(self) -> CommittedCounts:
        """How far the books are, without a word to the broker: cheap enough to ask ten times a second."""
        with database_errors("reading the lanes"):
            rows = await self._connection.fetch(sql.query("lane_status"))
        return CommittedCounts(
            sum(row[outcome] for row in rows for outcome in OUTCOMES), sum(row["unpublished"] for row in rows)
        )


@asynccontextmanager
async def open_status(
    endpoints: Endpoints, settings: DatabaseSettings, topic_prefix: str
) -> AsyncIterator[StatusReader]:
    """A reader over connections of its own; it joins no group and commits nothing."""
    topics = {feed: topic_prefix + feed for feed in Feed}
    with database_errors("connecting"):
        connection = await connect(endpoints.database_url, settings, "folio status")
    consumer = new_onlooker(endpoints.kafka_bootstrap, "folio-status", max_partition_fetch_bytes=1 << 16)
    try:
        with database_errors("checking the schema"):
            await require_schema(connection)
        lanes = await lane_count(endpoints.kafka_bootstrap, topic_prefix)
        with broker_errors("connecting to the broker"):
            await consumer.start()
        yield StatusReader(connection, LaneTopics(consumer, topics, lanes))
    finally:
        await consumer.stop()
        await connection.close()


_POSITION_COLUMN = {Feed.EVENTS: "finance_position", Feed.CORRECTIONS: "corrections_position"}


def _position(row: asyncpg.Record | None, feed: Feed, beginning: int) -> int:
    position = row[_POSITION_COLUMN[feed]] if row is not None else None
    return beginning if position is None else int(position)


def _lane(lane: int, row: asyncpg.Record | None, feeds: Mapping[Feed, FeedStatus]) -> LaneStatus:
    known = dict(row) if row is not None else {}
    return LaneStatus(
        lane=lane,
        owner=known.get("owner"),
        owner_epoch=known.get("owner_epoch", 0),
        feeds=feeds,
        outcomes={outcome: known.get(outcome, 0) for outcome in OUTCOMES},
        misrouted=known.get("misrouted", 0),
        version_gaps=known.get("version_gaps", 0),
        batches=known.get("batches", 0),
        last_batch_rows=known.get("last_batch_rows", 0),
        unpublished=known.get("unpublished", 0),
        uninvalidated=known.get("uninvalidated", 0),
        stopped_reason=known.get("stopped_reason"),
        paused_by=known.get("paused_by"),
        pause_reason=known.get("pause_reason"),
    )


async def sample(reader: StatusReader, seconds: float) -> tuple[StreamStatus, float]:
    """The status after `seconds`, and the records committed each second meanwhile."""
    before = await reader.read()
    await asyncio.sleep(seconds)
    after = await reader.read()
    return after, (after.consumed - before.consumed) / (after.at - before.at)
