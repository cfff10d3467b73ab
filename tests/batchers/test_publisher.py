"""What is sent to a client that has died in part is not waited for, for ever."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from msgspec import structs

from batchers import delivering, exporter
from batchers.announcer import Announcer
from batchers.exporter import Exporter
from batchers.outbox import OutboxRow
from batchers.publisher import Publisher
from pipeline.clock import SystemClock
from pipeline.errors import BrokerUnavailable, CircuitOpen
from pipeline.metrics import Metrics
from pipeline.producer import new_producer
from pipeline.resilience.breaker import State
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import worker_guards
from pipeline.settings_serving import ResilienceSettings
from pipeline.stack import Endpoints
from schemas.dead_letters import dead_letter
from schemas.records import Rejected
from schemas.topics import CHAIN_HEADS, DEAD_LETTERS, REALTIME_UPDATES
from schemas.updates import encode_update
from tests.batchers.test_invalidator import update
from tests.conftest import MakeStream
from tests.simulation.kafka_producer import SimulatedBatch
from tests.support.events import NOON, Offsets
from tests.support.gates import OpenGate

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
    monkeypatch.setattr(delivering, "ANSWER_SECONDS_MAX", 0.5)
    producer, prefix = dying
    publishing = Publisher(producer, OpenGate(), prefix + REALTIME_UPDATES, Metrics(), reach)
    with pytest.raises(BrokerUnavailable, match="TimeoutError"):
        await publishing.publish([OutboxRow(0, 1, UPDATES, uuid4())])


async def test_letters_that_a_dead_client_never_sends_are_tried_again_by_another(
    dying: tuple[AIOKafkaProducer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "ANSWER_SECONDS_MAX", 0.5)
    producer, prefix = dying
    exporting = Exporter(producer, OpenGate(), prefix + DEAD_LETTERS, Metrics(), reach)
    refused = Offsets(0).record(b"{")
    assert isinstance(refused, Rejected)
    with pytest.raises(BrokerUnavailable, match="TimeoutError"):
        await exporting.export([OutboxRow(0, 1, (), uuid4(), [dead_letter(refused)])])


async def test_what_a_dead_client_opens_the_next_session_s_client_closes(
    dying: tuple[AIOKafkaProducer, str], stack: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The circuit is the process's. It must not keep the new client waiting for long: that is what a session is for."""
    monkeypatch.setattr(delivering, "ANSWER_SECONDS_MAX", 0.05)
    producer, prefix = dying
    guards = worker_guards(ResilienceSettings(worker_open_seconds=0.5), SystemClock(), ResilienceMetrics())
    rows = [OutboxRow(0, 1, UPDATES, uuid4())]
    by_the_dead = Publisher(producer, guards.kafka, prefix + REALTIME_UPDATES, Metrics(), reach)
    for _ in range(5):
        with pytest.raises(BrokerUnavailable):
            await by_the_dead.publish(rows)
    monkeypatch.setattr(delivering, "ANSWER_SECONDS_MAX", 10)
    with pytest.raises(CircuitOpen) as refused:
        await by_the_dead.publish(rows)
    anew = new_producer(stack.kafka_bootstrap, "anew")
    await anew.start()
    try:
        await asyncio.sleep(refused.value.seconds)
        await Publisher(anew, guards.kafka, prefix + REALTIME_UPDATES, Metrics(), reach).publish(rows)
    finally:
        await anew.abandon()
    assert guards.kafka.breaker.state is State.CLOSED


async def test_rows_without_updates_ask_the_broker_nothing_and_say_nothing_of_it(
    dying: tuple[AIOKafkaProducer, str],
) -> None:
    """Or a batch of dead letters would be an answer, and an answer begins the row of failures anew."""
    producer, prefix = dying
    metrics = ResilienceMetrics()
    guard = worker_guards(ResilienceSettings(), SystemClock(), metrics).kafka
    row = OutboxRow(0, 1, (), uuid4())
    await Publisher(producer, guard, prefix + REALTIME_UPDATES, Metrics(), reach).publish([row])
    await Exporter(producer, guard, prefix + DEAD_LETTERS, Metrics(), reach).export([row])
    await Announcer(producer, guard, prefix + CHAIN_HEADS, Metrics(), reach).announce([row])
    answered = {"part": "kafka", "evidence": "answered"}
    assert metrics.registry.get_sample_value("folio_guarded_calls_total", answered) == 0


class SlowProducer:
    """Answers one thing after the other, each in 0.3 s: more than all of them may take together."""

    def __init__(self) -> None:
        self.answered = 0
        self._last: asyncio.Task[None] | None = None

    def create_batch(self) -> SimulatedBatch:
        return SimulatedBatch()

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0, 1, 2, 3}

    async def send_batch(self, *_batch: object, **_options: object) -> "asyncio.Task[None]":
        self._last = asyncio.create_task(self._answer(self._last))
        return self._last

    send = send_batch

    async def _answer(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await before
        await asyncio.sleep(0.3)
        self.answered += 1


async def test_each_answer_has_its_time_and_not_all_of_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a large row under a quota would be cut short each time, for ever."""
    monkeypatch.setattr(delivering, "ANSWER_SECONDS_MAX", 0.5)
    updates = [encode_update(update(org_id, 1, NOON.date(), 1)) for org_id in range(1, 30)]
    refused = Offsets(0).record(b"{")
    assert isinstance(refused, Rejected)
    row = OutboxRow(0, 1, updates, uuid4(), [dead_letter(refused)] * 4)
    publishing, exporting = SlowProducer(), SlowProducer()
    await Publisher(publishing, OpenGate(), REALTIME_UPDATES, Metrics(), reach).publish([row])
    await Exporter(exporting, OpenGate(), DEAD_LETTERS, Metrics(), reach).export([row])
    assert (publishing.answered, exporting.answered) == (4, 4)


def test_letters_go_together_as_long_as_they_are_few_and_small() -> None:
    refused = Offsets(0).record(b"{")
    assert isinstance(refused, Rejected)
    small = dead_letter(refused)
    large = structs.replace(small, origin=structs.replace(small.origin, value=b"x" * 3_000_000))
    assert [len(some) for some in exporter._together([small] * 1_001)] == [500, 500, 1]
    assert [len(some) for some in exporter._together([small, large, small, large, large])] == [3, 1, 1]
    assert list(exporter._together([])) == []
