"""Corrections through a real worker: true books pass, and whatever is planted in what they left is found."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaProducer

from schemas.routing import home_lane
from schemas.topics import BALANCE_CORRECTIONS
from tests.oracle.planting import planted
from tests.support.events import correction, encoded, event
from tests.support.stream import Stream

NOW: Final = datetime.now(UTC)
# At noon in the default zone, whatever the hour of the test.
D1, D2, D3 = (NOW.replace(hour=6, minute=30) - timedelta(days=days) for days in (3, 2, 1))
ID: Final = [str(UUID(int=number)) for number in range(10)]


async def send_corrections(stream: Stream, *bodies: dict[str, Any] | bytes, org: int = 1, away: int = 0) -> None:
    """Send to the organisation's home lane, or as many lanes away from it."""
    lane = (home_lane(org, stream.lanes) + away) % stream.lanes
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await producer.start()
    for body in bodies:
        value = body if isinstance(body, bytes) else encoded(body)
        await producer.send_and_wait(stream.prefix + BALANCE_CORRECTIONS, value, str(org).encode(), partition=lane)
    await producer.stop()


def some_events(first: int, org: int = 1) -> Iterator[tuple[bytes, bytes]]:
    for number in range(first, first + 10):
        at = (D1, D2, D3)[number % 3]
        yield str(org).encode(), encoded(event(number, org=org, at=at, kind=("revenue", "expense")[number % 4 == 0]))
    yield str(org).encode(), encoded(event(first, org=org, at=D1, amount=7))  # a conflict, which is not stored


async def corrected(stream: Stream) -> None:
    """Corrections of every kind between events, an unknown property, repetitions, a conflict and poison among them."""
    with stream.worker() as worker:
        await stream.send(some_events(10))
        await stream.wait_until_consumed(11)
        restated = correction(id_=1, day=D1.date(), figures=(500, 20, 0, 0))
        counted = correction(id_=2, day=D2.date(), declared=90)
        await send_corrections(stream, restated, counted, restated, {**counted, "reason": "otherwise"}, b"poison")
        await stream.wait_until_consumed(16)
        await stream.send(some_events(20))
        await stream.wait_until_consumed(27)
        await send_corrections(
            stream,
            correction(id_=3, day=D1.date(), figures=(501, 0, 3, 0)),
            correction(id_=4, day=D1.date()),
            correction(id_=5, day=D3.date(), property_=9, declared=-5),
            correction(id_=6, day=D3.date(), declared=70),
            correction(id_=7, day=D3.date(), declared=None),
        )
        await stream.wait_until_consumed(32)
        # The producers of an organisation disagree about its lane: only the database tells the order.
        await stream.send(some_events(30, org=2))
        await send_corrections(stream, correction(id_=8, org=2, day=D1.date(), figures=(1, 2, 3, 4)), org=2, away=1)
        await stream.send(some_events(40, org=2))
        await stream.wait_until_consumed(55)
        assert await worker.stop() == 0


PLANTED: Final = {
    f"UPDATE ops.balance_adjustments SET cash_received_before_cents = 1 WHERE correction_id = '{ID[1]}'": {
        "adjustments"
    },
    f"UPDATE ops.balance_adjustments SET recorded_at = now() WHERE correction_id = '{ID[1]}'": {"adjustments"},
    f"DELETE FROM ops.balance_adjustments WHERE correction_id = '{ID[3]}'": {"adjustments"},
    f"DELETE FROM ops.balance_corrections WHERE correction_id = '{ID[4]}'": {"corrections", "lanes"},
    f"UPDATE ops.balance_corrections SET declared_closing_cents = 91 WHERE correction_id = '{ID[2]}'": {
        "corrections",
        "lanes",
    },
    f"UPDATE ops.balance_corrections SET reason = '' WHERE correction_id = '{ID[1]}'": {"corrections", "lanes"},
    f"UPDATE ops.balance_corrections SET content_hash = '' WHERE correction_id = '{ID[1]}'": {"corrections", "lanes"},
    f"UPDATE ops.balance_corrections SET finance_position = 0 WHERE correction_id = '{ID[1]}'": {
        "corrections",
        "lanes",
    },
    f"UPDATE ops.balance_corrections SET finance_position = 12 WHERE correction_id = '{ID[1]}'": {
        "corrections",
        "lanes",
    },
    "UPDATE finance.daily_cash_balances_partitioned SET declared_closing_cents = declared_closing_cents + 1, "
    "closing_balance_cents = closing_balance_cents + 1, balance_discrepancy_cents = balance_discrepancy_cents + 1 "
    f"WHERE org_id = 1 AND property_id = 1 AND balance_date = '{D2.date()}'": {"balances", "realtime"},
    "DELETE FROM finance.daily_cash_balances_partitioned WHERE property_id = 9": {"balances"},
    "UPDATE finance.properties SET currency = 'EUR' WHERE property_id = 9": {"properties"},
    "UPDATE ops.lanes SET duplicate = duplicate + 1 WHERE lane = 0": {"lanes"},
    "DELETE FROM ops.dead_letters WHERE reason = 'correction_conflict'": {"dead_letters"},
    "UPDATE ops.dead_letters SET record_value = '' WHERE reason = 'malformed'": {"dead_letters"},
}


async def test_true_books_pass_and_whatever_is_planted_is_found(stream: Stream) -> None:
    await corrected(stream)
    report = await stream.prove()
    assert report.exit_code == 0, report.differences
    assert (report.events, report.corrections, report.adjustments) == (44, 11, 3)
    assert (report.orgs_on_several_lanes, report.outcomes["misrouted"]) == (1, 1)
    assert all(report.compared.values()), report.compared
    found = {statement: set((await planted(stream, statement)).difference_counts) for statement in PLANTED}
    assert found == PLANTED


async def test_a_lane_may_begin_with_corrections(stream: Stream) -> None:
    with stream.worker() as worker:
        await send_corrections(stream, correction(day=D1.date(), figures=(1, 0, 0, 0)))
        await stream.wait_until_consumed(1)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert (report.exit_code, report.events, report.corrections) == (0, 0, 1), report
