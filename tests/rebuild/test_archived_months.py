"""Beside months that have left the store, what stands is the better account of whatever may have been in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from pipeline.rebuild.job import Order, run
from tests.rebuild.conftest import Open
from tests.rebuild.test_books import BOOKS, changes, rebuild
from tests.support.ledger import Ledger


async def standing(ledger: Ledger) -> list[list[asyncpg.Record]]:
    return [
        list(await ledger.rows(statement))
        for statement in (
            "SELECT * FROM event_store.snapshots ORDER BY aggregate_id",
            "SELECT * FROM finance.revenues_partitioned ORDER BY id",
            "SELECT * FROM finance.daily_cash_balances_partitioned ORDER BY balance_date",
        )
    ]


@pytest.mark.parametrize("versions", [(2, 1), (1, 2)], ids=["version 1 came late", "its month was restored alone"])
async def test_an_old_version_is_not_taken_for_the_newest(
    ledger: Ledger, means: Open, versions: tuple[int, ...]
) -> None:
    for version in versions:
        await ledger.commit(ledger.event(1, version, amount=100 * version))
    before = await standing(ledger)
    await ledger.admin.execute("DELETE FROM event_store.events WHERE version = 2")  # as if its month were archived
    assert changes(await rebuild(ledger, means)) == {}
    assert await standing(ledger) == before


async def test_a_month_that_leaves_while_a_rebuild_is_opened_takes_nothing_with_it(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, 1, amount=100), ledger.event(2, 1, amount=5))
    before = await standing(ledger)
    async with means(ledger, *BOOKS) as found, month_gone(ledger):
        assert await ledger.value("SELECT count(*) FROM event_store.events") == 0
        assert changes(await run(found, Order(BOOKS), "test", lambda _line: None)) == {}
        assert await standing(ledger) == before


@asynccontextmanager
async def month_gone(ledger: Ledger) -> AsyncIterator[None]:
    """The month of all events leaves, as maintenance has it leave; the next test finds it again, empty."""
    month = await ledger.value("SELECT (min(recorded_at) AT TIME ZONE 'UTC')::date FROM event_store.events")
    month = month.replace(day=1)
    await ledger.admin.execute("SELECT ops.ensure_month('event_store.events', 'recorded_at', $1)", month)
    await ledger.admin.execute("SELECT ops.detach_month('event_store.events', $1, false)", month)
    try:
        yield
    finally:
        await ledger.admin.execute("SELECT ops.drop_expired_month('event_store.events', $1)", month)
        await ledger.admin.execute("DELETE FROM ops.expired_months")
        await ledger.admin.execute("SELECT ops.ensure_month('event_store.events', 'recorded_at', $1)", month)
