"""A client of Kafka that cannot be stopped in order leaves neither a task nor a connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import pytest
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.conn import AIOKafkaConnection
from aiokafka.structs import BrokerMetadata, PartitionMetadata

from consumers.client import new_consumer
from pipeline.producer import new_letter_producer, new_producer
from pipeline.settings import KafkaSettings
from pipeline.stack import Endpoints
from schemas.topics import REALTIME_UPDATES
from tests.conftest import MakeStream

HANGS_SECONDS = 0.5


@pytest.mark.parametrize("new", [new_producer, new_letter_producer])
async def test_a_producer_whose_broker_never_answers_is_ended(make_stream: MakeStream, new: Any) -> None:
    stream = await make_stream()
    before = asyncio.all_tasks()
    producer = new(stream.endpoints.kafka_bootstrap, "abandoned")
    await producer.start()
    await producer.send_and_wait(stream.prefix + REALTIME_UPDATES, b"taken")
    _swallow_what_is_sent(producer.client)
    await producer.send(stream.prefix + REALTIME_UPDATES, b"never taken")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(HANGS_SECONDS):
            await producer.flush()
    await producer.abandon()
    await _nothing_is_left(before, producer.client)


async def test_a_member_whose_listener_waits_for_ever_is_ended(make_stream: MakeStream) -> None:
    stream = await make_stream()
    before = asyncio.all_tasks()
    consumer = new_consumer(stream.endpoints.kafka_bootstrap, KafkaSettings(group=stream.prefix), "abandoned")
    await consumer.start()
    listener = _Hangs()
    consumer.subscribe([stream.prefix + REALTIME_UPDATES], listener=listener)
    await listener.assigned.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(HANGS_SECONDS):
            await consumer.leave()
    await consumer.abandon()
    await _nothing_is_left(before, consumer._client)


async def test_a_producer_whose_broker_reads_nothing_is_ended_at_once() -> None:
    """Closing its connection would wait until what was written is sent."""
    async with _mute_broker() as port:
        before = asyncio.all_tasks()
        producer = new_producer(f"127.0.0.1:{port}", "abandoned")
        connection = AIOKafkaConnection("127.0.0.1", port)
        with patch.object(AIOKafkaConnection, "_do_version_lookup"):
            await connection.connect()
        producer.client._conns[0, 0] = connection
        transport = connection._writer.transport
        connection._writer.write(bytes(50_000_000))
        assert transport.get_write_buffer_size(), "everything was sent: the test proves nothing"
        async with asyncio.timeout(HANGS_SECONDS):
            await producer.abandon()
        await _nothing_is_left(before, producer.client)
        assert not transport.get_write_buffer_size()


async def test_a_producer_that_connects_to_a_broker_that_says_nothing_is_ended() -> None:
    async with _mute_broker() as port:
        before = asyncio.all_tasks()
        producer = new_letter_producer(f"127.0.0.1:{port}", "abandoned")
        cluster = producer.client.cluster  # as if it had heard of it before
        cluster._brokers[0] = BrokerMetadata(0, "127.0.0.1", port, None)
        cluster._partitions["t"] = {0: PartitionMetadata("t", 0, 0, [0], [0], 0)}
        await producer._sender.start()
        await producer._message_accumulator.add_message(TopicPartition("t", 0), b"k", b"v", timeout=5)
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() - before, "nothing connects: the test proves nothing"
        await producer.abandon()
        await _nothing_is_left(before, producer.client)


async def test_a_client_that_never_began_can_be_abandoned(stack: Endpoints) -> None:
    before = asyncio.all_tasks()
    consumer = new_consumer(stack.kafka_bootstrap, KafkaSettings(), "abandoned")
    producer = new_producer(stack.kafka_bootstrap, "abandoned")
    await consumer.abandon()
    await producer.abandon()
    await _nothing_is_left(before, consumer._client)


async def test_a_keeper_of_metadata_that_has_died_keeps_no_connection_open(stack: Endpoints) -> None:
    before = asyncio.all_tasks()
    producer = new_producer(stack.kafka_bootstrap, "abandoned")
    await producer.start()
    producer.client._sync_task.cancel()

    async def die() -> None:
        raise RuntimeError("of what no client expects")

    producer.client._sync_task = asyncio.create_task(die())
    await producer.flush()
    await producer.abandon()
    await _nothing_is_left(before, producer.client)


class _Hangs(ConsumerRebalanceListener):  # type: ignore[misc]  # the client has no types
    """Never comes back from being told what it was given."""

    def __init__(self) -> None:
        self.assigned = asyncio.Event()

    async def on_partitions_revoked(self, revoked: Set[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Set[TopicPartition]) -> None:  # noqa: ARG002 - as it is called
        self.assigned.set()
        await asyncio.Event().wait()


def _swallow_what_is_sent(client: Any) -> None:
    """The links of a client are half open from now on: nothing that it says arrives."""
    for connection in client._conns.values():
        connection._writer.write = lambda _data: None


@asynccontextmanager
async def _mute_broker() -> AsyncIterator[int]:
    """Takes connections, and neither reads nor says anything; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def _nothing_is_left(before: Set["asyncio.Task[Any]"], client: Any) -> None:
    await asyncio.sleep(0.05)  # who was told something ends in the next turns
    assert not [connection for connection in client._conns.values() if connection.connected()]
    assert not asyncio.all_tasks() - before
