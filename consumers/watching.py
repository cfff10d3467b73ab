"""The watchdog: how far behind we are, whether records still come, and where the group's lag tools believe we stand."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from consumers.lane import FetchedLane
from consumers.waiting import Waiting, ages
from pipeline.errors import BrokerUnavailable, Stalled
from pipeline.metrics import Metrics
from pipeline.translate import broker_errors
from schemas.lanes import Positions
from schemas.topics import Feed

_PERIOD_SECONDS = 2.0

log = structlog.get_logger()


class Progress(Protocol):
    """What the writers tell of their progress."""

    @property
    def positions(self) -> Positions: ...

    @property
    def gathered_rows(self) -> int: ...

    def oldest_waiting(self, lane: int, feed: Feed) -> datetime | None: ...

    def full(self, lane: int) -> bool: ...


class Watch:
    """Looks at the claimed lanes every two seconds."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        lanes: Mapping[TopicPartition, FetchedLane],
        progress: Progress,
        stall_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._consumer = consumer
        self._lanes = lanes
        self._progress = progress
        self._stall_seconds = stall_seconds
        self._metrics = metrics
        self._offsets_committed: dict[TopicPartition, int] = {}
        self._answered_at = time.monotonic()
        self._delivered = -1  # the sum of the positions, at the last look
        now = datetime.now(UTC)
        self._waiting = {partition: Waiting(lane.lane, lane.feed, now) for partition, lane in lanes.items()}

    async def run(self) -> None:
        """Go on until cancelled.

        Raises Stalled when records wait in the topic and none have come for too long, BrokerUnavailable when it has not
        said for so long whether any do: the next session asks by another client.
        """
        while True:
            await asyncio.sleep(_PERIOD_SECONDS)
            await self._look()
            await self.commit_offsets()

    async def _look(self) -> None:
        if not self._lanes:
            return
        looked_at = datetime.now(UTC)
        self._look_for_deliveries()
        try:
            with broker_errors("asking how far the topics go"):
                async with asyncio.timeout(_PERIOD_SECONDS * 2):
                    ends = await self._consumer.end_offsets(list(self._lanes))
                    # The client's position is past the markers of transactions, which are no records, never delivered.
                    passed = {partition: await self._consumer.position(partition) for partition in self._lanes}
        except BrokerUnavailable as error:
            if time.monotonic() - self._answered_at > self._stall_seconds:
                raise
            log.warning("the broker does not answer", error=str(error))
            for lane in self._lanes.values():
                lane.fetched_at = time.monotonic()  # a silent broker is not a silent consumer
            self._tell_ages(looked_at, {})
            return
        self._answered_at = time.monotonic()
        committed = self._progress.positions
        lag = sum(
            ends[partition] - committed.get((lane.lane, lane.feed), lane.claim.standings[lane.feed].position or 0)
            for partition, lane in self._lanes.items()
        )
        self._metrics.lag_records.set(lag)
        self._metrics.gathered_rows.set(self._progress.gathered_rows)
        delivered = {partition: max(lane.position, passed[partition]) for partition, lane in self._lanes.items()}
        self._tell_ages(looked_at, {partition: ends[partition] > at for partition, at in delivered.items()})
        for partition, lane in self._lanes.items():
            self._check_fetched(lane, delivered[partition], ends[partition])

    def _look_for_deliveries(self) -> None:
        """Records are an answer too: how far the topics go may have to wait behind them, on the same connection."""
        delivered = sum(lane.position for lane in self._lanes.values())
        if delivered != self._delivered:
            self._delivered, self._answered_at = delivered, time.monotonic()

    def _tell_ages(self, looked_at: datetime, undelivered: Mapping[TopicPartition, bool]) -> None:
        """How old the oldest uncommitted records are. Without an answer of the broker's: what we hold, else as before.

        A record between the client and the writer is in neither for an instant, and one that the topic got since
        `looked_at` is not looked for: it is younger than the next look.
        """
        for partition, lane in self._lanes.items():
            waiting = self._waiting[partition]
            oldest = self._progress.oldest_waiting(lane.lane, lane.feed)
            if oldest is not None:
                waiting.held(oldest)
            elif undelivered.get(partition):
                waiting.undelivered(lane.newest_at)
            elif partition in undelivered:
                waiting.nothing(looked_at)
        self._metrics.waiting(ages(self._waiting.values(), datetime.now(UTC)))

    def _check_fetched(self, lane: FetchedLane, delivered: int, end: int) -> None:
        """Consumers have been known to die without a word: records in the topic, none delivered, nothing paused."""
        waiting = end > delivered and not self._progress.full(lane.lane)
        if not waiting or self._consumer.paused() & {TopicPartition(lane.topic, lane.lane)}:
            lane.fetched_at = time.monotonic()
            return
        silent_seconds = time.monotonic() - lane.fetched_at
        if silent_seconds > self._stall_seconds:
            self._metrics.stalls.inc()
            raise Stalled(
                f"lane {lane.lane}: {end - delivered} records wait, none delivered for {silent_seconds:.0f} s"
            )

    async def commit_offsets(self) -> None:
        """Tell the group where the books stand. Only lag tools read it: positions are in the database."""
        offsets = {
            partition: position
            for partition, lane in self._lanes.items()
            if (position := self._progress.positions.get((lane.lane, lane.feed))) is not None
            and self._offsets_committed.get(partition) != position
        }
        if not offsets:
            return
        try:
            with broker_errors("committing offsets"):
                async with asyncio.timeout(_PERIOD_SECONDS):
                    await self._consumer.commit(offsets)
        except BrokerUnavailable as error:
            log.debug("group offsets not committed", error=str(error))
        else:
            self._offsets_committed.update(offsets)
