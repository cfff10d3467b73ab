"""Events and corrections of the same days, sent at once: whatever order the workers took, it explains the books."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from aiokafka import AIOKafkaProducer

from schemas.routing import home_lane
from schemas.topics import BALANCE_CORRECTIONS
from tests.conftest import MakeStream
from tests.support.events import correction, encoded, event

ORGS, STRAY = (1, 2, 3), 3  # the producers of the stray one have no lane for it
EVENTS, CORRECTIONS = 800, 250


def some_events(random: Random) -> Iterator[tuple[int, bytes]]:
    """Versions in any order, in all states, edits that conflict, and now and then a currency."""
    for _ in range(EVENTS):
        org, currency = random.choice(ORGS), random.choice(["INR"] * 3 + ["USD"])
        yield (
            org,
            encoded(
                event(
                    random.randrange(1, 80),
                    random.randrange(1, 6),
                    org=org,
                    property_=random.randrange(1, 20),
                    at=datetime.now(UTC) - timedelta(days=random.randrange(1, 4)),
                    kind=random.choice(["revenue", "expense"]),
                    mode=random.choice(["cash", "bank"]),
                    amount=random.randrange(1, 5),
                    status=random.choice(["approved", "pending"]),
                    **({"currency": currency} if random.random() < 0.2 else {}),
                )
            ),
        )


def some_corrections(random: Random) -> Iterator[tuple[int, bytes]]:
    """Of every kind, some under an id that was taken."""
    for _ in range(CORRECTIONS):
        org, day = random.choice(ORGS), datetime.now(UTC).date() - timedelta(days=random.randrange(1, 4))
        a_correction = partial(
            correction, id_=random.randrange(1, CORRECTIONS), org=org, property_=random.randrange(1, 20), day=day
        )
        count = random.choice([None, random.randrange(-50, 500)])
        stated = (random.randrange(300), random.randrange(300), random.randrange(300), random.randrange(300))
        bodies = (a_correction(figures=stated), a_correction(declared=count), a_correction())
        yield org, encoded(random.choice(bodies))


async def test_any_interleaving_of_the_topics_is_proved(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=2, BATCH_ROWS_MAX="20")
    random = Random(1)
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, linger_ms=0)
    await producer.start()

    async def send(topic: str, records: Iterator[tuple[int, bytes]], pause: float) -> None:
        for number, (org, value) in enumerate(records):
            lane = random.randrange(stream.lanes) if org == STRAY else home_lane(org, stream.lanes)
            await producer.send(topic, value, str(org).encode(), partition=lane)
            if number % 10 == 0:
                await asyncio.sleep(pause)  # so that the two are on their way at one time

    with stream.worker() as worker:
        await worker.wait_for_log("lanes claimed")
        async with asyncio.TaskGroup() as sending:
            sending.create_task(send(stream.topic, some_events(random), 0.03))
            sending.create_task(send(stream.prefix + BALANCE_CORRECTIONS, some_corrections(random), 0.1))
        await producer.stop()
        await stream.wait_until_consumed(EVENTS + CORRECTIONS)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report.differences[:5]
    assert (report.events, report.corrections, report.orgs_on_several_lanes) == (EVENTS, CORRECTIONS, 1)
    assert report.adjustments > 0
    async with stream.database() as connection:
        points = await connection.fetchval("SELECT count(DISTINCT finance_position) FROM ops.balance_corrections")
    assert points > 5, "the topics were hardly interleaved"
