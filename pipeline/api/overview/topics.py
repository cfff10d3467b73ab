"""What the broker says of the stream: the ends of its topics, and since when the oldest record waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.abandoning import abandon_consumer
from pipeline.api.overview.books import LanesRead
from pipeline.api.overview.document import Lag, LaneLag
from pipeline.api.overview.held import Held
from pipeline.onlooker import new_onlooker
from pipeline.status import FeedStatus, LaneTopics
from pipeline.topics import lane_count, partition_counts
from pipeline.translate import broker_errors
from schemas.topics import REALTIME_UPDATES, Feed

# Connecting asks three times, and a record that waits is fetched: together well within this, or there is no answer.
_SECONDS_MAX: Final = 1.5
_FETCH_BYTES_MAX: Final = 1 << 16

Feeds = Mapping[int, Mapping[Feed, FeedStatus]]  # by lane


@dataclass(frozen=True, slots=True)
class TopicsRead:
    """The ends of the topics. `feeds` is None where nobody knows where the lanes stand."""

    updates: Mapping[int, int]  # by partition
    feeds: Feeds | None

    @property
    def produced(self) -> int | None:
        """The ends of what the lanes consume, less what holds no record there."""
        if self.feeds is None:
            return None
        return sum(each.end - each.passed_over for lane in self.feeds.values() for each in lane.values())

    @property
    def lag(self) -> Lag | None:
        if self.feeds is None:
            return None
        lanes = [_lag(lane, feeds) for lane, feeds in sorted(self.feeds.items())]
        oldest = max((each.oldest_seconds for each in lanes), default=0.0)
        return Lag(sum(each.records for each in lanes), oldest, lanes)


def _lag(lane: int, feeds: Mapping[Feed, FeedStatus]) -> LaneLag:
    records = sum(each.lag_records for each in feeds.values())
    return LaneLag(lane, records, round(max(each.lag_seconds for each in feeds.values()), 3))


@dataclass(frozen=True, slots=True)
class _Client:
    consumer: AIOKafkaConsumer
    lanes: LaneTopics
    lane_count: int
    updates: tuple[TopicPartition, ...]


class TopicsLook:
    """Looks again and again, in no group."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._held = Held(self._connect, _give_up)
        self._lane_count = 0

    async def read(self, lanes: LanesRead | None) -> TopicsRead:
        """The ends now, and how far the lanes are behind them, where those are known."""
        if lanes is not None and len(lanes.rows) > self._lane_count > 0:
            await self._held.close()  # the topics have grown

        async def work(client: _Client) -> TopicsRead:
            with broker_errors("asking for the ends of the topics"):
                ends = await client.consumer.end_offsets(list(client.updates))
            feeds = await client.lanes.feeds(lanes.rows) if lanes is not None else None
            return TopicsRead({each.partition: end for each, end in ends.items()}, feeds)

        return await self._held.use(work, _SECONDS_MAX)

    async def close(self) -> None:
        await self._held.close()

    async def _connect(self) -> _Client:
        updates = self._prefix + REALTIME_UPDATES
        with broker_errors("connecting to the broker"):
            self._lane_count = await lane_count(self._bootstrap, self._prefix)
            counts = await partition_counts(self._bootstrap, [updates])
            consumer = new_onlooker(self._bootstrap, "folio-serve-status", max_partition_fetch_bytes=_FETCH_BYTES_MAX)
            try:
                await consumer.start()
            except BaseException:
                await abandon_consumer(consumer)
                raise
        topics = {feed: self._prefix + feed for feed in Feed}
        return _Client(
            consumer,
            LaneTopics(consumer, topics, self._lane_count),
            self._lane_count,
            tuple(TopicPartition(updates, number) for number in range(counts[updates])),
        )


async def _give_up(client: _Client) -> None:
    await abandon_consumer(client.consumer)
