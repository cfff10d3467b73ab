"""What is sent to a client that has died in part is not waited for, for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from msgspec import structs

from batchers import exporter, publisher
from batchers.exporter import Exporter
from batchers.outbox import OutboxRow
from batchers.publisher import Publisher
from pipeline.errors import BrokerUnavailable
from pipeline.metrics import Metrics
from pipeline.producer import new_producer
from schemas.dead_letters import dead_letter
from schemas.records import Rejected
from schemas.topics import DEAD_LETTERS, REALTIME_UPDATES
from schemas.updates import encode_update
from tests.batchers.test_invalidator import update
from tests.conftest import MakeStream
from tests.support.events import NOON, Offsets

UPDATES = [encode_update(update(1, 1, NOON.date(), 1))]


@pytest_asyncio.fixture
async def dying(make_stream: MakeStream) -> AsyncIterator[tuple[AIOKafkaProducer, str]]:
    """A producer, and the prefix of its topics. The task that sends has ended, unknown to it."""
    stream = await make_stream()
    producer = new_producer(stream.endpoints.kafka_bootstrap, "dying")
    await producer.start()
    producer._sender._sender_task.cancel()
    yield producer, stream.prefix
    await producer.abandon()


def reach(_point: str) -> None:
    """Nobody dies here."""


async def test_updates_that_a_dead_client_never_sends_are_tried_again_by_another(
    dying: tuple[AIOKafkaProducer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "ANSWER_SECONDS_MAX", 0.5)
    producer, prefix = dying
    publishing = Publisher(producer, prefix + REALTIME_UPDATES, Metrics(), reach)
    with pytest.raises(BrokerUnavailable, match="TimeoutError"):
        await publishing.publish([OutboxRow(0, 1, UPDATES, uuid4())])


async def test_letters_that_a_dead_client_never_sends_are_tried_again_by_another(
    dying: tuple[AIOKafkaProducer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "ANSWER_SECONDS_MAX", 0.5)
    producer, prefix = dying
    exporting = Exporter(producer, prefix + DEAD_LETTERS, Metrics(), reach)
    refused = Offsets(0).record(b"{")
    assert isinstance(refused, Rejected)
    with pytest.raises(BrokerUnavailable, match="TimeoutError"):
        await exporting.export([OutboxRow(0, 1, (), uuid4(), [dead_letter(refused)])])


async def test_each_answer_has_its_time_and_not_all_of_them_together(
    make_stream: MakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a large row under a quota would be cut short each time, for ever."""
    monkeypatch.setattr(publisher, "ANSWER_SECONDS_MAX", 0.5)
    stream = await make_stream(lanes=4)
    producer = new_producer(stream.endpoints.kafka_bootstrap, "slow")
    await producer.start()
    answered: list[bool] = []

    async def send_slowly(*_batch: Any, **_options: Any) -> Awaitable[None]:
        number = len(answered) + 1
        answered.append(False)

        async def answer() -> None:
            await asyncio.sleep(0.3 * number)
            answered[number - 1] = True

        return asyncio.create_task(answer())

    monkeypatch.setattr(producer, "send_batch", send_slowly)
    updates = [encode_update(update(org_id, 1, NOON.date(), 1)) for org_id in range(1, 30)]
    publishing = Publisher(producer, stream.prefix + REALTIME_UPDATES, Metrics(), reach)
    await publishing.publish([OutboxRow(0, 1, updates, uuid4())])
    assert answered == [True] * 4
    await producer.abandon()


def test_letters_go_together_as_long_as_they_are_few_and_small() -> None:
    refused = Offsets(0).record(b"{")
    assert isinstance(refused, Rejected)
    small = dead_letter(refused)
    large = structs.replace(small, origin=structs.replace(small.origin, value=b"x" * 3_000_000))
    assert [len(some) for some in exporter._together([small] * 1_001)] == [500, 500, 1]
    assert [len(some) for some in exporter._together([small, large, small, large, large])] == [3, 1, 1]
    assert list(exporter._together([])) == []
