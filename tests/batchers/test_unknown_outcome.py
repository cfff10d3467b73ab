"""A COMMIT whose answer was lost: the same batch again finds what the first attempt did, and goes in exactly once."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import asyncpg
import pytest

from batchers.books import Committed
from batchers.connection import Connect, Reach
from pipeline.errors import DatabaseUnavailable, FenceLost, OutcomeUnknown
from schemas.lanes import Batch
from schemas.routing import home_lane
from tests.batchers.conftest import MakeLedger
from tests.support.ledger import Ledger
from tests.support.proxy import Wire

HOME = home_lane(1, 2)


def a_batch(ledger: Ledger) -> Batch:
    return ledger.batch(ledger.event(1), ledger.event(2, org=2), ledger.event(3, lane=0), ledger.event(4, lane=1))


async def assert_once(ledger: Ledger) -> None:
    assert await ledger.value("SELECT sum(cash_received_cents) FROM finance.daily_cash_balances_partitioned") == 400
    assert await ledger.value("SELECT sum(applied) FROM ops.lanes") == 4
    assert len(await ledger.stored()) == 4


def heard(committed: Committed) -> list[tuple[int, int, list[bytes]]]:
    return [(row.lane, row.seq, [line for _, line in row.updates]) for row in committed.outbox]


async def test_the_same_batch_again_is_recognised_and_tells_the_same(ledger: Ledger) -> None:
    batch = a_batch(ledger)
    first, second = await ledger.put(batch), await ledger.put(batch)
    assert heard(first)
    assert heard(first) == heard(second)
    assert first.positions == second.positions
    await assert_once(ledger)
    assert (await ledger.lane(HOME))["batches"] == 1


async def test_an_answer_lost_after_the_commit_is_settled_by_trying_again(
    books_database: str, make_ledger: MakeLedger
) -> None:
    async with Wire(books_database).laid() as wire:
        ledger = await make_ledger(wire.url)
        batch = a_batch(ledger)
        wire.cut_after_commit()
        with pytest.raises(OutcomeUnknown):
            await ledger.put(batch)
        await assert_once(ledger)  # it was in
        found = await ledger.put(batch)
        assert wire.cuts == 1
        await assert_once(ledger)
        assert sorted(seq for _, seq, _ in heard(found)) == [1] * len(found.outbox)
        assert sum(len(lines) for *_, lines in heard(found)) == 2
        await ledger.commit(ledger.event(5))  # and the stream goes on


async def test_a_connection_cut_before_the_commit_is_settled_by_trying_again(
    books_database: str, make_ledger: MakeLedger
) -> None:
    async with Wire(books_database).laid() as wire:
        ledger = await make_ledger(wire.url)
        batch = a_batch(ledger)
        wire.cut_before_commit()
        with pytest.raises(OutcomeUnknown):
            await ledger.put(batch)
        assert await ledger.stored() == []  # it was not in
        await ledger.put(batch)
        await assert_once(ledger)


async def test_a_backend_that_dies_just_before_the_commit_has_done_nothing(
    books_database: str, make_ledger: MakeLedger
) -> None:
    ledger = await make_ledger(reach=killing_at("before_commit", books_database))
    batch = a_batch(ledger)
    with pytest.raises(OutcomeUnknown):
        await ledger.put(batch)
    assert await ledger.stored() == []
    await ledger.put(batch)
    await assert_once(ledger)


@pytest.mark.parametrize("point", ["fenced", "read", "events_written", "balances_written", "outbox_written"])
async def test_a_backend_that_dies_on_the_way_has_done_nothing(
    books_database: str, make_ledger: MakeLedger, point: str
) -> None:
    ledger = await make_ledger(reach=killing_at(point, books_database))
    batch = a_batch(ledger)
    with pytest.raises(DatabaseUnavailable):
        await ledger.put(batch)
    assert await ledger.stored() == []
    await ledger.put(batch)
    await assert_once(ledger)


async def test_after_an_unknown_outcome_a_new_owner_shuts_the_old_batch_out(
    books_database: str, make_ledger: MakeLedger
) -> None:
    async with Wire(books_database).laid() as wire:
        ledger = await make_ledger(wire.url)
        batch = a_batch(ledger)
        wire.cut_after_commit()
        with pytest.raises(OutcomeUnknown):
            await ledger.put(batch)
        successor = await make_ledger()
        assert successor.positions.items() >= batch.ends.items()
        with pytest.raises(FenceLost):
            await ledger.put(batch)
        await assert_once(ledger)


async def test_a_cancelled_batch_goes_in_once_when_it_is_tried_again(ledger: Ledger) -> None:
    """Cancelled a little later each time, until one attempt gets through."""
    batch = a_batch(ledger)
    connections = [await ledger.connect() for _ in range(40)]
    ledger.books._connection._connect = _already_open(connections)
    cancelled = 0
    while True:
        task = asyncio.ensure_future(ledger.put(batch))
        await asyncio.wait({task}, timeout=0.001 * 1.3**cancelled)
        if task.done():
            break
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        cancelled += 1
    assert cancelled > 2
    await ledger.put(batch)
    await assert_once(ledger)
    for connection in connections:
        connection.terminate()


def _already_open(connections: list[asyncpg.Connection]) -> Connect:
    waiting = iter(connections)

    async def connect() -> asyncpg.Connection:
        return next(waiting)

    return connect


def killing_at(point: str, url: str) -> Reach:
    """Kills the writers' backends when a batch first reaches the point."""
    dying = [point]

    def kill(reached: str) -> None:
        if reached in dying:
            dying.clear()
            _from_a_thread(_terminate_writers(url))

    return kill


async def _terminate_writers(url: str) -> None:
    connection = await asyncpg.connect(url, server_settings={"application_name": "executioner"})
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'test'"
    )
    await connection.close()


def _from_a_thread(action: Coroutine[Any, Any, None]) -> None:
    """Run to its end while this thread, and the event loop on it, stand still: the batch is stopped at its point."""
    thread = threading.Thread(target=asyncio.run, args=(action,))
    thread.start()
    thread.join()
