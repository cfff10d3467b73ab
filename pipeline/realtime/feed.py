"""Reading the topic of updates: all partitions, in no group, again and again, never skipping.

Where reading goes on is kept by the receiver alone, so that a feed may be killed and another one started at any time.
The first one begins a little before the ends: who was subscribed to the process before this one goes on here.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.abandoning import abandon_consumer
from pipeline.broker import servers_of
from pipeline.clock import Clock, SystemClock
from pipeline.errors import BrokerUnavailable, TopicMismatch
from pipeline.onlooker import new_onlooker
from pipeline.realtime.messages import Entry, ResyncReason
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.topics import partition_counts
from pipeline.translate import broker_errors
from schemas.updates import BalanceUpdate

log = structlog.get_logger()

# As long as nothing comes, the client waits so long in a call; what comes is handed over at once.
_POLL_MS: Final = 250
_RECORDS_OF_POLL: Final = 500
# A record may go to a thousand subscribers, at 5 us each, and nobody is written to meanwhile: so a turn has 2 ms.
_STEPS_OF_TURN: Final = 400
# The client says nothing about a broker that is away, so that after this silence we ask for ourselves.
_ASK_AFTER_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0
# A topic that has grown is noticed after so long.
_METADATA_MS: Final = 30_000
_PAUSE_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)

_decode: Final = msgspec.json.Decoder(BalanceUpdate).decode
Positions = Mapping[int, int]


class Receiver(Protocol):
    """Who is handed the records, in the order of each partition: the hub."""

    def positions(self) -> Positions: ...

    def begin(self, positions: Positions, reason: ResyncReason | None) -> None: ...

    def receive(self, entry: Entry) -> int: ...  # to how many it goes

    def pass_over(self, partition: int, position: int) -> None: ...

    def caught_up(self) -> None: ...


class Listener(Protocol):
    """Who hears of every update, and whether any can be missed: the cached balances (`pipeline.cache.tiers`)."""

    def noted(self, update: BalanceUpdate) -> None: ...

    def feed_back(self) -> None: ...

    def feed_lost(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """What is read, and how much of it at once."""

    bootstrap: str
    topic: str
    fetch_bytes_max: int
    stall_seconds: float  # records wait, and none has come for so long: a client that has died in part
    history_records_max: int = 0  # of each partition, read at first: what was told last


def where_to_begin(
    held: Positions, begins: Positions, ends: Positions, history: int = 0
) -> tuple[Positions, ResyncReason | None] | None:
    """Positions to begin at anew, and why everybody must resync; None: reading goes on where it stood."""
    if not held:
        return {each: max(begins[each], end - history) for each, end in ends.items()}, None
    if len(ends) > len(held):
        return ends, ResyncReason.TOPIC_GROWN
    if set(held) != set(ends) or any(not begins[each] <= held[each] <= ends[each] for each in held):
        return ends, ResyncReason.TOPIC_LOST
    return None


class Feed:
    """Hands every record to the receiver, whatever becomes of the broker meanwhile."""

    def __init__(
        self,
        source: Source,
        receiver: Receiver,
        metrics: RealtimeMetrics,
        clock: Clock | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._source = source
        self._receiver = receiver
        self._metrics = metrics
        self._listeners = listeners
        self._clock = clock or SystemClock()
        self._heard_at: dict[int, float] = {}  # by partition
        self._asked_at = 0.0
        self.connected = False
        self._ends: Positions = {}  # that are not known to be reached

    @property
    def position(self) -> Positions:
        """The offset that is read next, of each partition."""
        return self._receiver.positions()

    async def run(self) -> None:
        """Until it is cancelled. Raises TopicMismatch when there is no such topic from the beginning."""
        failures = 0
        while True:
            try:
                async with self._consumer() as consumer:
                    failures = 0
                    await self._read(consumer)
            except (BrokerUnavailable, TopicMismatch) as error:
                if isinstance(error, TopicMismatch) and not self.position:
                    raise
                self._metrics.reconnects.inc()
                if not failures:
                    log.warning("the feed of updates begins anew", error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS) - 1)])
                failures += 1
            finally:
                self._lost()

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A client that stands where reading goes on."""
        source = self._source
        counts = await partition_counts(source.bootstrap, [source.topic])
        consumer = new_onlooker(
            source.bootstrap,
            "folio-realtime",
            fetch_max_bytes=source.fetch_bytes_max,
            max_partition_fetch_bytes=max(source.fetch_bytes_max // counts[source.topic], 1 << 16),
            metadata_max_age_ms=_METADATA_MS,
        )
        try:
            with broker_errors(f"reading {source.topic} at {servers_of(source.bootstrap)}"):
                await consumer.start()
                await self._place(consumer, counts[source.topic])
            self._asked_at = self._clock.monotonic()
            self._heard_at = dict.fromkeys(self._receiver.positions(), self._asked_at)
            self._back()
            yield consumer
        finally:
            await _stop(consumer)

    def _back(self) -> None:
        """It stands where reading goes on: whatever is published from now on will be heard."""
        self.connected = True
        for listener in self._listeners:
            listener.feed_back()

    def _lost(self) -> None:
        if self.connected:
            self.connected = False
            for listener in self._listeners:
                listener.feed_lost()

    async def _place(self, consumer: AIOKafkaConsumer, count: int) -> None:
        partitions = [TopicPartition(self._source.topic, number) for number in range(count)]
        consumer.assign(partitions)
        begins = _numbered(await consumer.beginning_offsets(partitions))
        ends = _numbered(await consumer.end_offsets(partitions))
        anew = where_to_begin(self._receiver.positions(), begins, ends, self._source.history_records_max)
        if anew is not None:
            self._receiver.begin(*anew)
        self._ends = ends
        for number, position in self._receiver.positions().items():
            consumer.seek(TopicPartition(self._source.topic, number), position)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        # What left the topic before it was read raises here too: the next client's place tells what that means.
        with broker_errors(f"reading {self._source.topic}"):
            while True:
                if self._ends:
                    await self._see_the_ends(consumer)
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_OF_POLL)
                for partition, records in batches.items():
                    await self._hand_over(partition.partition, records)
                    self._heard_at[partition.partition] = self._clock.monotonic()
                await self._ask_about_the_silent(consumer)

    async def _see_the_ends(self, consumer: AIOKafkaConsumer) -> None:
        """Whether everything has been read that was there when this client began."""
        for number, end in self._ends.items():
            if await consumer.position(TopicPartition(self._source.topic, number)) < end:
                return
        self._ends = {}
        self._receiver.caught_up()

    async def _hand_over(self, partition: int, records: list[Any]) -> None:
        steps = 0
        for record in records:
            steps += 1
            try:
                update = _decode(record.value or b"")
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._metrics.unreadable.inc()
                log.warning("no update", partition=partition, offset=record.offset, error=str(error))
                self._receiver.pass_over(partition, record.offset + 1)
            else:
                # First who answers reads: a subscriber who is told of a version, and reads, must find it.
                for listener in self._listeners:
                    listener.noted(update)
                steps += self._receiver.receive(Entry(partition, record.offset, record.value, update))
            if steps >= _STEPS_OF_TURN:
                steps = 0
                await asyncio.sleep(0)

    async def _ask_about_the_silent(self, consumer: AIOKafkaConsumer) -> None:
        """Of some partitions nothing has come, whatever comes of the others: is there nothing, or nobody?"""
        now = self._clock.monotonic()
        if now - self._asked_at < _ASK_AFTER_SECONDS:
            return
        self._asked_at = now
        known = consumer.partitions_for_topic(self._source.topic)
        if known is not None and len(known) != len(self.position):
            raise BrokerUnavailable(f"{self._source.topic} has {len(known)} partitions, no longer {len(self.position)}")
        silent = [
            partition
            for partition in consumer.assignment()
            if now - self._heard_at[partition.partition] >= _ASK_AFTER_SECONDS
        ]
        if not silent:
            return
        ends = await asyncio.wait_for(consumer.end_offsets(silent), _ANSWER_SECONDS)
        for partition, end in ends.items():
            position = await consumer.position(partition)
            self._receiver.pass_over(partition.partition, position)
            if position == end:
                self._heard_at[partition.partition] = now
            elif now - self._heard_at[partition.partition] >= self._source.stall_seconds:
                silence = now - self._heard_at[partition.partition]
                raise BrokerUnavailable(f"updates wait in {partition}, and none has come for {silence:.0f} s")


def _numbered(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {partition.partition: offset for partition, offset in offsets.items()}


async def _stop(consumer: AIOKafkaConsumer) -> None:
    """However its own tasks end: a cancellation of theirs, taken for ours, would end the feed without a word."""
    try:
        with broker_errors("ending a client"):
            await asyncio.wait_for(consumer.stop(), _ANSWER_SECONDS)
    except BrokerUnavailable:
        await abandon_consumer(consumer)
