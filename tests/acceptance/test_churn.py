"""Workers that come and go under load, and producers that agree on no partitioner: the books are right all the same."""

import asyncio
import itertools
import os
import random
import time
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.conftest import MakeStream
from tests.support.events import NOON, correction, encoded, event
from tests.support.stream import Stream

# A minute of it is a campaign of its own: FOLIO_TEST_CHURN_SECONDS=60.
SECONDS = float(os.environ.get("FOLIO_TEST_CHURN_SECONDS", "12"))
EVENTS_PER_SECOND = 5_000
PARTITIONERS = ("murmur2_random", "consistent_random", "random")  # Java's, librdkafka's (CRC32), and nobody's


def _producers(stream: Stream) -> list[Producer]:
    common = {"bootstrap.servers": stream.endpoints.kafka_bootstrap, "acks": "all", "enable.idempotence": True}
    return [Producer(common | {"partitioner": partitioner, "linger.ms": 5}) for partitioner in PARTITIONERS]


def _load(stream: Stream, seconds: float) -> int:
    """Send at a steady rate, one producer after the other: creations, edits that overtake them, corrections."""
    producers = itertools.cycle(_producers(stream))
    dice = random.Random(7)  # a repeatable day, no secret
    started, sent, newest = time.monotonic(), 0, 0
    while (passed := time.monotonic() - started) < seconds:
        producer = next(producers)
        if sent >= passed * EVENTS_PER_SECOND:
            producer.poll(0.005)
            continue
        if dice.random() < 0.002:
            org = dice.randint(1, 200)
            body = correction(org=org, day=NOON.date(), declared=dice.randint(0, 10_000))
            topic = stream.prefix + "balance-corrections"
        else:
            edit = newest > 0 and dice.random() < 0.3
            newest += not edit
            number = dice.randint(1, newest) if edit else newest
            org = 1 + number % 200
            body = event(number, 1 + sent * edit, org=org, amount=dice.randint(1, 999))
            topic = stream.topic
        _produce(producer, topic, body, org)
        sent += 1
    for producer in {next(producers) for _ in PARTITIONERS}:
        assert producer.flush(30) == 0
    return sent


def _produce(producer: Producer, topic: str, body: dict[str, Any], org: int) -> None:
    """Wait where the broker lags behind: on a busy machine the rate falls, and no event is lost."""
    while True:
        try:
            return producer.produce(topic, encoded(body), str(org))
        except BufferError:
            producer.poll(0.1)


@pytest.mark.timeout(300)
async def test_workers_come_and_go_while_producers_mix_partitioners(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=4)
    with stream.worker() as one, stream.worker() as two:
        await one.wait_for_log("lanes claimed")
        loading = asyncio.create_task(asyncio.to_thread(_load, stream, SECONDS))
        while not loading.done():
            with stream.worker() as third:
                await third.wait_for_log("lanes claimed", seconds=60)
                await asyncio.sleep(1)
                assert await third.stop() == 0
        sent = await loading
        await stream.wait_until_consumed(sent, seconds=120)
        assert (await one.stop(), await two.stop()) == (0, 0)
    async with stream.database() as connection:
        misrouted = await connection.fetchval("SELECT sum(misrouted) FROM ops.lanes")
    assert misrouted > sent / 4, "two of three producers put records where they do not belong"
    report = await stream.prove()
    assert report.exit_code == 0, report
