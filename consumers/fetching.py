"""The poll loop: fetch, judge, hand on; pause what is full, so that memory stays bounded whatever the backlog."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from consumers.decoding import decode
from consumers.lane import FetchedLane
from pipeline.errors import Fatal
from pipeline.translate import broker_errors
from schemas.codec import Rules
from schemas.lanes import Claim
from schemas.records import Judged
from schemas.topics import Feed

_POLL_MS = 50  # how soon a paused partition is looked at again
# What a poll takes is in memory before the bounds of gathering see it, and a record can be a megabyte, however small
# the fetch was that it came in compressed.
_POLL_RECORDS_MAX = 500
# Judging takes microseconds a record and holds the event loop, on which the heartbeats run: milliseconds at a time.
_JUDGED_BYTES_MAX = 256 * 1024

Fetched = dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]
StopLane = Callable[[Claim, Fatal], Awaitable[None]]


class Receiver(Protocol):
    """Takes judged records, and says when a lane has enough of them."""

    def add(self, lane: int, feed: Feed, records: Sequence[Judged]) -> None: ...

    def full(self, lane: int) -> bool: ...

    def roomy(self, lane: int) -> bool: ...


class Fetching:
    """Moves records of the claimed lanes from the client to the writers."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        lanes: Mapping[TopicPartition, FetchedLane],
        rules: Rules,
        receiver: Receiver,
        stop_lane: StopLane,
    ) -> None:
        self._consumer = consumer
        self._lanes = dict(lanes)
        self._rules = rules
        self._receiver = receiver
        self._stop_lane = stop_lane
        self._paused: set[TopicPartition] = set()
        self._held: set[int] = set()

    def hold(self, lane: int) -> None:
        """Fetch nothing more of a lane, from now on; what was fetched goes on its way."""
        self._held.add(lane)
        self._pause_and_resume()

    def release(self, lane: int) -> None:
        """Fetch the lane again."""
        self._held.discard(lane)
        self._pause_and_resume()

    async def run(self) -> None:
        """Fetch until cancelled."""
        while True:
            self._pause_and_resume()
            # Without arguments the client would deliver every partition, those of stopped lanes too.
            if not self._lanes:
                await self._wait_without_lanes()
                continue
            for partition, records in (await self._fetch(*self._lanes)).items():
                if partition in self._lanes:  # its lane may just have stopped over the other feed
                    await self._receive(partition, records)

    async def _wait_without_lanes(self) -> None:
        """Nothing to fetch. The client tells its coordinator's errors only to who asks it for records: ask."""
        if not self._consumer.assignment():
            await self._fetch()
        await asyncio.sleep(_POLL_MS / 1000)

    async def _fetch(self, *partitions: TopicPartition) -> Fetched:
        with broker_errors("fetching"):
            fetched: Fetched = await self._consumer.getmany(
                *partitions, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS_MAX
            )
        return fetched

    async def _stop(self, partition: TopicPartition, error: Fatal) -> None:
        """A lane stops whole: corrections of events that do not come any more would restate the wrong figures."""
        lane = self._lanes[partition]
        for each in [each for each, other in self._lanes.items() if other.lane == lane.lane]:
            del self._lanes[each]
            self._consumer.pause(each)
        await self._stop_lane(lane.claim, error)

    async def _receive(self, partition: TopicPartition, records: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
        lane = self._lanes[partition]
        lane.fetched_at = time.monotonic()
        for some in _by_bytes(records):
            try:
                fresh = lane.admit(decode(some, lane.feed, self._rules))
            except Fatal as error:
                await self._stop(partition, error)
                return
            if fresh:
                self._receiver.add(lane.lane, lane.feed, fresh)
            await asyncio.sleep(0)  # the heartbeats, and the writers, have their turn

    def _pause_and_resume(self) -> None:
        for partition, lane in self._lanes.items():
            held = lane.lane in self._held
            if partition not in self._paused and (held or self._receiver.full(lane.lane)):
                self._consumer.pause(partition)
                self._paused.add(partition)
            elif partition in self._paused and not held and self._receiver.roomy(lane.lane):
                self._consumer.resume(partition)
                self._paused.discard(partition)
                lane.fetched_at = time.monotonic()


def _by_bytes(records: Sequence["ConsumerRecord[bytes, bytes]"]) -> Iterator[Sequence["ConsumerRecord[bytes, bytes]"]]:
    """The records in slices of about as many bytes as may be judged at once."""
    start = size = 0
    for place, record in enumerate(records):
        size += len(record.value or b"")
        if size >= _JUDGED_BYTES_MAX:
            yield records[start : place + 1]
            start, size = place + 1, 0
    if start < len(records):
        yield records[start:]
