"""A client that is silent about one partition while others are told of: nobody may be forgotten because of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from pipeline.onlooker import new_onlooker
from pipeline.realtime import feed as feeds
from pipeline.realtime.feed import Feed, Source
from schemas.topics import REALTIME_UPDATES
from tests.realtime.test_stack import new_hub, running
from tests.support.stream import Stream
from tests.support.waiting import until


@asynccontextmanager
async def records(stream: Stream) -> AsyncIterator[AIOKafkaProducer]:
    """Partition 0 is told of all the time, within the block."""
    topic = stream.prefix + REALTIME_UPDATES
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap)

    async def load() -> None:
        while True:
            await producer.send_and_wait(topic, b"no update", partition=0)
            await asyncio.sleep(0.1)

    await producer.start()
    loading = asyncio.create_task(load())
    try:
        yield producer
    finally:
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading
        await producer.stop()


async def test_a_partition_of_which_nothing_comes_is_missed_while_others_go_on(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, deaf = stream.prefix + REALTIME_UPDATES, TopicPartition(stream.prefix + REALTIME_UPDATES, 1)
    made: list[AIOKafkaConsumer] = []

    def first_one_is_deaf(*arguments: Any, **bounds: Any) -> AIOKafkaConsumer:
        consumer = new_onlooker(*arguments, **bounds)
        made.append(consumer)
        return consumer

    monkeypatch.setattr(feeds, "new_onlooker", first_one_is_deaf)
    hub, metrics = new_hub(stream)
    feed = Feed(Source(stream.endpoints.kafka_bootstrap, topic, 1 << 20, stall_seconds=1), hub, metrics)
    async with records(stream) as producer, running(feed, hub):
        made[0].pause(deaf)
        await producer.send_and_wait(topic, b"no update", partition=1)

        async def heard() -> bool:
            return hub.positions()[1] == 1

        await until(heard, 20)
    assert len(made) == 2


async def test_a_topic_that_grows_is_noticed_while_it_is_written_to(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = stream.prefix + REALTIME_UPDATES
    monkeypatch.setattr(feeds, "_METADATA_MS", 500)
    hub, metrics = new_hub(stream)
    feed = Feed(Source(stream.endpoints.kafka_bootstrap, topic, 1 << 20, stall_seconds=15), hub, metrics)
    async with records(stream), running(feed, hub):
        count = len(hub.positions())
        admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(count + 1)})
        finally:
            await admin.close()

        async def grown() -> bool:
            return len(hub.positions()) == count + 1

        await until(grown, 20)
