"""The broker in memory against Kafka: what a session relies on, asked of both by the worker's own clients."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.group import LeaveGroupRequest

from consumers.client import new_consumer
from pipeline.producer import new_producer
from pipeline.settings import KafkaSettings
from schemas.topics import Feed
from tests.conftest import MakeStream
from tests.simulation.broker import Broker
from tests.simulation.kafka_consumer import SimulatedConsumer
from tests.simulation.kafka_producer import SimulatedProducer
from tests.simulation.plan import BEGINNING
from tests.simulation.process import Process, Weather

LANES: Final = 4
WAIT_SECONDS: Final = 30
LOG_APPEND_TIME: Final = 1


@dataclass
class Kafka:
    """One of the two brokers: its clients, and what its topics are called."""

    topics: list[str]
    new_consumer: Callable[[str], Any]
    new_producer: Callable[[], Any]
    evict: Callable[[Any], Awaitable[None]]  # as a broker does with a member of which it hears nothing

    def partition(self, lane: int) -> TopicPartition:
        return TopicPartition(self.topics[0], lane)

    def lanes(self, *lanes: int) -> set[TopicPartition]:
        return {TopicPartition(topic, lane) for topic in self.topics for lane in lanes}


@pytest_asyncio.fixture(params=["kafka", "memory"])
async def kafka(request: pytest.FixtureRequest, make_stream: MakeStream) -> AsyncIterator[Kafka]:
    if request.param == "memory":
        broker = Broker(asyncio.get_running_loop(), BEGINNING, list(Feed), LANES)
        process = Process("test", Weather(Random(0)), _silent)
        coordinating = asyncio.create_task(broker.group.coordinate())

        async def evict(consumer: SimulatedConsumer) -> None:
            assert consumer.number is not None
            broker.group.leave(consumer.number)

        yield Kafka(
            list(Feed),
            lambda _: SimulatedConsumer(broker, process, 6),
            lambda: SimulatedProducer(broker, process),
            evict,
        )
        coordinating.cancel()
        return
    stream = await make_stream(lanes=LANES)
    settings = KafkaSettings(group=f"{stream.prefix}contract", session_timeout_seconds=6)
    bootstrap = stream.endpoints.kafka_bootstrap
    yield Kafka(
        [stream.prefix + feed for feed in Feed],
        lambda name: new_consumer(bootstrap, settings, name),
        lambda: new_producer(bootstrap, "contract"),
        lambda consumer: left_for(bootstrap, settings.group, consumer),
    )


async def left_for(bootstrap: str, group: str, consumer: AIOKafkaConsumer) -> None:
    """Tell the broker that a member has left, which then knows it no more than one that was silent for too long."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(group)
        request = LeaveGroupRequest(group, consumer._coordinator.member_id)  # nothing public tells it
        await admin._send_request_to_node(coordinator, request)  # the client offers no such call
    finally:
        await admin.close()


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Notes what it is told, and lets the client go on at once."""

    def __init__(self) -> None:
        self.told: list[tuple[str, frozenset[TopicPartition]]] = []

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.told.append(("revoked", frozenset(revoked)))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.told.append(("assigned", frozenset(assigned)))

    async def holds(self, lanes: set[TopicPartition]) -> None:
        """Wait until exactly these were assigned last."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not self.told or self.told[-1] != ("assigned", frozenset(lanes)):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def member(kafka: Kafka, name: str = "one") -> AsyncIterator[tuple[Any, Listener]]:
    consumer, listener = kafka.new_consumer(name), Listener()
    await consumer.start()
    consumer.subscribe(kafka.topics, listener=listener)
    try:
        yield consumer, listener
    finally:
        await consumer.leave()
        await consumer.abandon()


async def sent(kafka: Kafka, lane: int, *values: bytes) -> None:
    """One batch of a producer, acknowledged."""
    producer = kafka.new_producer()
    await producer.start()
    batch = producer.create_batch()
    for value in values:
        assert batch.append(key=b"1", value=value, timestamp=None, headers=[("h", b"v")]) is not None
    await (await producer.send_batch(batch, kafka.topics[0], partition=lane))
    await producer.flush()
    await producer.abandon()


async def fetched(consumer: Any, *partitions: TopicPartition, seconds: float = WAIT_SECONDS) -> list[Any]:
    """The next records of these; none when none come in that time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        found = await consumer.getmany(*partitions, timeout_ms=50, max_records=500)
        if found:
            return [record for records in found.values() for record in records]
    return []


async def test_lanes_are_given_in_ranges_and_both_topics_of_a_lane_to_the_same_member(kafka: Kafka) -> None:
    async with member(kafka) as (_, first):
        await first.holds(kafka.lanes(0, 1, 2, 3))
        async with member(kafka, "two") as (_, second):
            async with asyncio.timeout(WAIT_SECONDS):
                while not second.told or second.told[-1][0] != "assigned":
                    await asyncio.sleep(0.05)
            shares = [frozenset(kafka.lanes(0, 1)), frozenset(kafka.lanes(2, 3))]
            mine = second.told[-1][1]
            assert mine in shares
            await first.holds(set(shares[1 - shares.index(mine)]))
        await first.holds(kafka.lanes(0, 1, 2, 3))
        # What a member has is taken from it before it is given anything else.
        kinds = [kind for kind, _ in first.told]
        assert kinds == ["revoked", "assigned"] * 3
        assert first.told[0] == ("revoked", frozenset())


async def test_records_come_from_where_one_seeks_in_order_stamped_by_the_broker(kafka: Kafka) -> None:
    await sent(kafka, 1, b"a", b"b", b"c")
    async with member(kafka) as (consumer, listener):
        await listener.holds(kafka.lanes(0, 1, 2, 3))
        consumer.seek(kafka.partition(1), 1)
        records = await fetched(consumer, kafka.partition(1))
        assert [(record.offset, record.value) for record in records] == [(1, b"b"), (2, b"c")]
        assert {(record.key, record.timestamp_type, record.headers) for record in records} == {
            (b"1", LOG_APPEND_TIME, (("h", b"v"),))
        }
        assert await consumer.position(kafka.partition(1)) == 3
        assert await consumer.end_offsets([kafka.partition(1)]) == {kafka.partition(1): 3}
        assert await consumer.beginning_offsets([kafka.partition(1)]) == {kafka.partition(1): 0}


async def test_a_paused_partition_gives_nothing_until_it_is_resumed(kafka: Kafka) -> None:
    async with member(kafka) as (consumer, listener):
        await listener.holds(kafka.lanes(0, 1, 2, 3))
        consumer.seek(kafka.partition(2), 0)
        consumer.pause(kafka.partition(2))
        assert consumer.paused() == {kafka.partition(2)}
        await sent(kafka, 2, b"a")
        assert await fetched(consumer, kafka.partition(2), seconds=0.5) == []
        consumer.resume(kafka.partition(2))
        assert [record.value for record in await fetched(consumer, kafka.partition(2))] == [b"a"]


async def test_a_pause_does_not_outlive_its_assignment(kafka: Kafka) -> None:
    async with member(kafka) as (consumer, listener):
        await listener.holds(kafka.lanes(0, 1, 2, 3))
        consumer.pause(*kafka.lanes(0, 1, 2, 3))
        async with member(kafka, "two") as (_, second):
            await shared(listener, second)
            assert consumer.paused() == set()


async def test_an_evicted_member_cannot_commit_and_comes_back_as_another(kafka: Kafka) -> None:
    async with member(kafka) as (evicted, first), member(kafka, "two") as (_, second):
        await shared(first, second)
        mine = kafka.partition(min(lane.partition for lane in evicted.assignment()))
        await evicted.commit({mine: 1})
        rebalances = len(first.told)
        await kafka.evict(evicted)
        with pytest.raises(CommitFailedError):
            await evicted.commit({mine: 2})
        async with asyncio.timeout(WAIT_SECONDS):
            while len(first.told) < rebalances + 2:
                await asyncio.sleep(0.05)
        await shared(first, second)
        await evicted.commit({kafka.partition(min(lane.partition for lane in evicted.assignment())): 3})


async def shared(one: Listener, other: Listener) -> None:
    """Wait until each of the two has half of the lanes."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not all(
            each.told and each.told[-1][0] == "assigned" and len(each.told[-1][1]) == LANES for each in (one, other)
        ):
            await asyncio.sleep(0.05)


async def test_topics_and_their_partitions_are_known(kafka: Kafka) -> None:
    async with member(kafka) as (consumer, listener):
        await listener.holds(kafka.lanes(0, 1, 2, 3))
        assert set(kafka.topics) <= await consumer.topics()
        assert consumer.partitions_for_topic(kafka.topics[0]) == set(range(LANES))
        assert consumer.partitions_for_topic("no such topic") is None
        assert consumer.assignment() == kafka.lanes(0, 1, 2, 3)


def _silent(_what: str) -> None:
    return
