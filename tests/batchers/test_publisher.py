"""What is sent to a client that has died in part is not waited for, for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

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
    with contextlib.suppress(TimeoutError):  # it would wait until everything is sent
        async with asyncio.timeout(0.5):
            await producer.stop()
    await producer._sender.close()
    await producer.client.close()


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
