"""Corrections through a real worker: both topics on one lane, in one transaction, each applied once."""

from datetime import timedelta
from typing import Any

from schemas.topics import Feed
from tests.support.events import NOON, correction, encoded, event
from tests.support.stream import Message, Stream

D1 = NOON.date()
D2, D3 = D1 + timedelta(days=1), D1 + timedelta(days=2)


def on(day: int, number: int, amount: int) -> Message:
    return b"1", encoded(event(number, amount=amount, at=NOON + timedelta(days=day)))


def said(**what: Any) -> Message:
    return b"1", encoded(correction(**what))


async def balances(stream: Stream) -> list[tuple[int, ...]]:
    """Of each day: opening, cash received, closing, discrepancy."""
    async with stream.database() as connection:
        rows = await connection.fetch(
            "SELECT opening_balance_cents, cash_received_cents, closing_balance_cents, balance_discrepancy_cents "
            "FROM finance.daily_cash_balances_partitioned ORDER BY balance_date"
        )
    return [tuple(row) for row in rows]


async def test_the_worked_case(stream: Stream) -> None:
    with stream.worker() as worker:
        await stream.send([on(0, 1, 100)])
        await stream.wait_until_consumed(1)
        await stream.send([said(day=D2, declared=90)], feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(2)
        await stream.send([on(2, 2, 1), on(0, 3, 20)])
        await stream.wait_until_consumed(4)
        assert await balances(stream) == [(0, 120, 120, 0), (120, 0, 90, -30), (90, 1, 91, 0)]
        await stream.send([said(day=D2, declared=None)], feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(5)
        assert await balances(stream) == [(0, 120, 120, 0), (120, 0, 120, 0), (120, 1, 121, 0)]
        assert await worker.stop() == 0


async def test_each_correction_applies_once_and_its_adjustment_stays(stream: Stream) -> None:
    restated = correction(id_=7001, day=D1, figures=(80, 0, 0, 0))
    other_body = correction(id_=7001, day=D1, figures=(70, 0, 0, 0))
    messages: list[Message] = [(b"1", encoded(body)) for body in (restated, restated, other_body)]
    messages += [(b"1", b"{"), said(day=D3, declared=5), said(day=D1)]
    await stream.send([on(0, 1, 100)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(1)
        await stream.send(messages, feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(7)
        await stream.send([on(0, 2, 7)])
        await stream.wait_until_consumed(8)
        assert await worker.stop() == 0
    # A worker that comes later, with the corrections delivered again, changes nothing.
    await stream.send(messages[:1], feed=Feed.CORRECTIONS)
    with stream.worker() as worker:
        await stream.wait_until_consumed(9)
        assert await worker.stop() == 0
    async with stream.database() as connection:
        adjustments = await connection.fetch("SELECT cash_received_cents FROM ops.balance_adjustments")
        letters = await connection.fetch("SELECT topic, reason FROM ops.dead_letters ORDER BY record_offset")
    assert await stream.outcomes() == {"applied": 5, "duplicate": 2, "stale": 0, "conflict": 1, "quarantined": 1}
    assert [row[0] for row in adjustments] == [-20]
    assert [row["reason"] for row in letters] == ["correction_conflict", "malformed"]
    assert {row["topic"] for row in letters} == {stream.prefix + Feed.CORRECTIONS}
    assert await balances(stream) == [(0, 87, 87, 0), (87, 0, 5, -82)]
