"""How long uncommitted records wait, by lane and by organisation.

Positions come from the database, the records behind them from the broker: it is right whether workers run or not.
What is read is bounded. Where the bound cuts a lane, what lies beyond is younger than what was read: ages stand, and so
do the organisations that have waited longer than the lane's last record read; counts are then at least.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.errors import BrokerUnavailable
from pipeline.onlooker import new_onlooker
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.status import StreamStatus, open_status
from pipeline.translate import broker_errors
from schemas.codec import Rules, judge, judge_correction
from schemas.records import Origin, org_of
from schemas.topics import Feed

_POLL_MS: Final = 200
_RECORDS_OF_POLL: Final = 2_000
# A broker that has the records and gives none for so long will not give them.
_QUIET_POLLS_MAX: Final = 50

_JUDGES: Final = {Feed.EVENTS: judge, Feed.CORRECTIONS: judge_correction}
Span = tuple[int, int]  # from the committed position up to, and without, the end


@dataclass(slots=True)
class Waiting:
    """Records that wait: how many, and since when the oldest does (the broker's append time)."""

    records: int = 0
    since: datetime | None = None

    def add(self, appended_at: datetime) -> None:
        self.records += 1
        self.since = appended_at if self.since is None else min(self.since, appended_at)

    def age_seconds(self, now: datetime) -> float:
        """0 when nothing waits, and where the broker's clock is ahead of ours."""
        return max((now - self.since).total_seconds(), 0.0) if self.since is not None else 0.0


@dataclass(slots=True)
class Freshness:
    """What waits now. Records that name no organisation (they will be quarantined) count in their lanes alone."""

    at: datetime
    lanes: dict[int, Waiting]
    organisations: dict[int, Waiting] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)  # lanes with more records than were read

    @property
    def age_seconds(self) -> float:
        return max((lane.age_seconds(self.at) for lane in self.lanes.values()), default=0.0)

    @property
    def records(self) -> int:
        return sum(lane.records for lane in self.lanes.values())

    def worst(self, count: int) -> list[tuple[int, Waiting]]:
        """The organisations whose oldest record waits longest."""
        ordered = sorted(self.organisations.items(), key=lambda each: (-each[1].age_seconds(self.at), each[0]))
        return ordered[:count]


async def look(settings: Settings, endpoints: Endpoints, records_max: int) -> Freshness:
    """Read what waits, of each lane and topic so many records at most.

    Raises BrokerUnavailable, DatabaseUnavailable, and TopicMismatch where a topic is missing.
    """
    prefix = settings.kafka.topic_prefix
    async with open_status(endpoints, settings.database, prefix) as reader:
        status = await reader.read()
    feeds = {prefix + feed: feed for feed in Feed}
    rules = Rules(past_max=settings.rules.past_max, future_max=settings.rules.future_max)
    found = Freshness(datetime.now(UTC), {lane.lane: Waiting() for lane in status.lanes})
    async with _consumer(endpoints.kafka_bootstrap) as consumer:
        spans = await _spans(consumer, status, prefix)
        left = dict.fromkeys(spans, records_max)
        async for partition, records in _read(consumer, spans, left):
            _count(found, feeds[partition.topic], records[: left[partition]], rules)
            left[partition] -= len(records)
            if left[partition] < 0:
                found.cut.add(partition.partition)
    found.at = datetime.now(UTC)
    return found


def _count(found: Freshness, feed: Feed, records: Iterable[Any], rules: Rules) -> None:
    for one in records:
        appended_at = datetime.fromtimestamp(one.timestamp / 1000, UTC)
        found.lanes[one.partition].add(appended_at)
        origin = Origin(one.topic, one.partition, one.offset, appended_at, one.key, one.value, tuple(one.headers))
        org_id = org_of(_JUDGES[feed](origin, rules))
        if org_id is not None:
            found.organisations.setdefault(org_id, Waiting()).add(appended_at)


async def _spans(consumer: AIOKafkaConsumer, status: StreamStatus, prefix: str) -> dict[TopicPartition, Span]:
    """What of each partition is not committed, up to the first record of a transaction that is still open."""
    positions = {
        TopicPartition(prefix + feed, lane.lane): at.position
        for lane in status.lanes
        for feed, at in lane.feeds.items()
    }
    with broker_errors("asking for the ends of the lanes"):
        beginnings = await consumer.beginning_offsets(list(positions))
        ends = await consumer.end_offsets(list(positions))
    spans = {each: (max(position, beginnings[each]), ends[each]) for each, position in positions.items()}
    return {each: (start, end) for each, (start, end) in spans.items() if start < end}


async def _read(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span], left: Mapping[TopicPartition, int]
) -> AsyncIterator[tuple[TopicPartition, Sequence[Any]]]:
    """The records of the spans in offset order; of a partition of which none are `left` to be read, no more."""
    consumer.assign(list(spans))
    for partition, (start, _) in spans.items():
        consumer.seek(partition, start)
    unread, quiet_polls = dict(spans), 0
    while unread:
        with broker_errors("reading what waits"):
            batches = await consumer.getmany(*unread, timeout_ms=_POLL_MS, max_records=_RECORDS_OF_POLL)
            # Positions tell more than records: they move over what is passed over (marks of transactions), too.
            positions = {partition: await consumer.position(partition) for partition in unread}
        for partition, batch in batches.items():
            yield partition, [one for one in batch if one.offset < spans[partition][1]]
        quiet_polls = 0 if batches else quiet_polls + 1
        if quiet_polls > _QUIET_POLLS_MAX:
            raise BrokerUnavailable("reading what waits: the broker has records and gives none")
        for partition in [each for each in unread if positions[each] >= unread[each][1] or left[each] < 0]:
            consumer.pause(partition)
            del unread[partition]


@asynccontextmanager
async def _consumer(bootstrap: str) -> AsyncIterator[AIOKafkaConsumer]:
    """In no group, committing nothing; it sees what workers see."""
    consumer = new_onlooker(bootstrap, "folio-freshness")
    try:
        with broker_errors("connecting to the broker"):
            await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
