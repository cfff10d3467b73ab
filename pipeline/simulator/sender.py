"""Messages to the topics of the feeds: in order per key, each acknowledged by every replica, memory bounded.

Batches are built here, one per partition, because a future for each message would cost more than the message.
aiokafka keeps one batch of a partition in flight and one waiting; the next waits here, so that what is not yet
acknowledged never grows beyond three batches a partition.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.partitioner import murmur2

from pipeline.broker import broker_options, servers_of
from pipeline.errors import BrokerUnavailable, TopicMismatch
from pipeline.simulator.plan import Message
from pipeline.translate import broker_errors
from schemas.topics import Feed

# A third of what a broker accepts as one batch by default (1 MiB), so that a single large record fits beside it.
BATCH_BYTES_MAX: Final = 384 * 1024
# The largest value that a broker takes with its default settings (1 MiB for a batch of one, its header included).
VALUE_BYTES_MAX: Final = 1024 * 1024 - 1024
# Longer than a broker needs to restart; after it, waiting for an acknowledgement is no longer patience.
PATIENCE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Sent:
    """What went out. `by_kind` counts acknowledged messages only; `sent` those handed to Kafka's client too."""

    sent: int = 0
    acknowledged: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Building:
    """A batch of one partition that still takes messages."""

    batch: Any
    kinds: list[str] = field(default_factory=list)


class Sender:
    """Sends to one topic for each feed. Use it as a context.

    Leaving it closes the connection, `drain` first to be sure of all. Raises TopicMismatch where a topic is missing,
    BrokerUnavailable where the broker cannot be reached or stays away for longer than `PATIENCE_SECONDS`.
    """

    def __init__(self, bootstrap: str, topics: Mapping[Feed, str]) -> None:
        self.sent = Sent()
        self._bootstrap = bootstrap
        self._topics = topics
        self._producer: Any = None
        self._partitions: dict[Feed, int] = {}
        self._turn = 0
        self._building: dict[tuple[Feed, int], _Building] = {}
        self._unacknowledged: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **broker_options(self._bootstrap),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=int(PATIENCE_SECONDS * 1_000),
            client_id="folio-produce",
        )
        try:
            with broker_errors(f"connecting to Kafka at {servers_of(self._bootstrap)}"):
                await self._producer.start()
                # Asked for all topics, not for ours: asking for a missing one may create it, with wrong settings.
                cluster = await self._producer.client.fetch_all_metadata()
                for feed, topic in self._topics.items():
                    self._partitions[feed] = _partitions_of(topic, cluster, self._bootstrap)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def put(self, messages: Sequence[Message]) -> None:
        """Take messages, in order. Waits while the broker is behind."""
        self._refuse_after_failure()
        for message in messages:
            place = message.feed, self._partition(message)
            building = self._building.get(place) or self._open(place)
            if not _append(building, message):
                await self._submit(place)
                # An empty batch takes a message of any size; the broker is the judge of it.
                _append(self._open(place), message)

    async def flush(self) -> None:
        """Hand every message to Kafka's client, full batch or not."""
        for place in list(self._building):
            await self._submit(place)
        # The client's own task writes to the socket; it must get a turn even if nothing here ever waits.
        await asyncio.sleep(0)

    async def drain(self, patience_seconds: float) -> None:
        """Flush, and wait until everything is acknowledged, while something is every so often.

        Raises BrokerUnavailable where nothing was for `patience_seconds`.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                await self.flush()
        except TimeoutError as error:
            raise self._lost(f"no progress for {patience_seconds:.0f} s") from error
        while self._unacknowledged and self._failure is None:
            done, _ = await asyncio.wait(
                self._unacknowledged, timeout=patience_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise self._lost(f"no acknowledgement for {patience_seconds:.0f} s")
        # Futures tell their callbacks in the loop's next turn.
        await asyncio.sleep(0)
        self._refuse_after_failure()

    def _partition(self, message: Message) -> int:
        partitions = self._partitions[message.feed]
        if message.key is None:
            # Nothing to keep in order: in turn, so that a repeated run sends the same to the same place.
            self._turn += 1
            return self._turn % partitions
        return partition_of(message.key, partitions)

    def _open(self, place: tuple[Feed, int]) -> _Building:
        building = self._building[place] = _Building(self._producer.create_batch())
        return building

    async def _submit(self, place: tuple[Feed, int]) -> None:
        building = self._building[place]
        building.batch.close()
        feed, partition = place
        try:
            # Returns when the batch before it has left for the broker: this is where we wait for a slow one.
            future = await self._producer.send_batch(building.batch, self._topics[feed], partition=partition)
        except KafkaTimeoutError as error:
            raise self._lost(f"no progress for {PATIENCE_SECONDS:.0f} s") from error
        except KafkaError as error:
            raise self._lost(f"{type(error).__name__}: {error}") from error
        del self._building[place]
        self.sent.sent += len(building.kinds)
        self._unacknowledged.add(future)
        future.add_done_callback(lambda done: self._acknowledge(done, building.kinds))
        self._refuse_after_failure()

    def _acknowledge(self, done: "asyncio.Future[Any]", kinds: list[str]) -> None:
        self._unacknowledged.discard(done)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is None:
            self.sent.acknowledged += len(kinds)
            self.sent.by_kind.update(kinds)
        elif self._failure is None:
            self._failure = error

    def _refuse_after_failure(self) -> None:
        # Messages behind a failed batch must not overtake it: nothing more is sent.
        if self._failure is not None:
            raise self._lost(f"{type(self._failure).__name__}: {self._failure}") from self._failure

    def _lost(self, why: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"sending to {', '.join(self._topics.values())} at {servers_of(self._bootstrap)}: {why}; "
            f"{self.sent.acknowledged} of {self.sent.sent} messages were acknowledged, the others may be there or not"
        )

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # stop() waits for the acknowledgement of what is in flight, for ever if the broker is gone.
        closing = asyncio.ensure_future(producer.stop())
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        if not closing.done():
            closing.cancel()
            await producer.client.close()
            await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)


async def end_offsets_sum(bootstrap: str, topics: Collection[str]) -> int:
    """How many messages the topics ever took, over all partitions.

    Raises TopicMismatch where one is missing, BrokerUnavailable where the broker does not answer.
    """
    consumer = AIOKafkaConsumer(**broker_options(bootstrap), enable_auto_commit=False, client_id="folio-produce")
    client = AIOKafkaClient(**broker_options(bootstrap), client_id="folio-produce")
    with broker_errors(f"reading where {', '.join(topics)} end at {servers_of(bootstrap)}"):
        try:
            await client.bootstrap()
            cluster = await client.fetch_all_metadata()
            partitions = [
                TopicPartition(topic, partition)
                for topic in topics
                for partition in range(_partitions_of(topic, cluster, bootstrap))
            ]
            await consumer.start()
            # Not assigned, hence not fetched: only the ends are asked for.
            return int(sum((await consumer.end_offsets(partitions)).values()))
        finally:
            await consumer.stop()
            await client.close()


def _partitions_of(topic: str, cluster: Any, bootstrap: str) -> int:
    partitions = cluster.partitions_for_topic(topic)
    if not partitions:
        raise TopicMismatch(f"topic {topic} does not exist at {servers_of(bootstrap)}; run `folio topics create`")
    return len(partitions)


# As the Java client does it: every producer of an organisation must meet in one partition. A hash in pure Python
# costs microseconds, and busy organisations come again and again. 2^16 entries: about 10 MB.
@lru_cache(maxsize=1 << 16)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def _append(building: _Building, message: Message) -> bool:
    # The broker stamps its own time (LogAppendTime); None lets the client fill in a plausible one.
    if building.batch.append(timestamp=None, key=message.key, value=message.value) is None:
        return False
    building.kinds.append(message.kind)
    return True
