"""Topics that transactional producers wrote to: the proof reads what the worker reads, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from schemas.routing import home_lane
from schemas.topics import REALTIME_UPDATES
from tests.support.events import encoded, event
from tests.support.stream import Stream

LANE_OF_ORG_1 = home_lane(1, 2)


@asynccontextmanager
async def transactions(stream: Stream) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=stream.endpoints.kafka_bootstrap, transactional_id=f"{stream.prefix}producer"
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def sent(producer: AIOKafkaProducer, topic: str, *values: bytes, partition: int = LANE_OF_ORG_1) -> None:
    """A transaction with these values, still open."""
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(topic, key=b"1", value=value, partition=partition)


def events(first: int, count: int) -> list[bytes]:
    return [encoded(event(number, at=datetime.now(UTC))) for number in range(first, first + count)]


async def test_what_was_aborted_was_never_sent(stream: Stream) -> None:
    async with transactions(stream) as producer:
        await sent(producer, stream.topic, *events(10, 3))
        await producer.abort_transaction()
        await sent(producer, stream.topic, *events(20, 2))
        await producer.commit_transaction()
        await sent(producer, stream.topic, *events(30, 1))
        await producer.abort_transaction()
        with stream.worker() as worker:
            await stream.wait_until_consumed(2)
            await sent(producer, stream.topic, *events(40, 1))  # neither, as long as it is open
            report = await stream.prove()
            assert (report.events, report.exit_code) == (2, 0), report
            await producer.abort_transaction()
            assert await worker.stop() == 0
    assert (await stream.prove()).exit_code == 0


@pytest.mark.parametrize("away", [0, 1], ids=["after other records", "alone in its partition"])
async def test_what_is_passed_over_at_the_end_of_a_topic_is_not_waited_for(stream: Stream, away: int) -> None:
    await stream.send((b"1", value) for value in events(1, 2))
    with stream.worker() as worker:
        await stream.wait_until_consumed(2)
        assert await worker.stop() == 0
    async with transactions(stream) as producer:
        where = (LANE_OF_ORG_1 + away) % stream.lanes
        await sent(producer, stream.prefix + REALTIME_UPDATES, b"no update", partition=where)
        await producer.abort_transaction()
        report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.seconds < 10, "it waited for records that nobody gets"
