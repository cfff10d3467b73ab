"""Real books for the tests that need a database: one database for all of them, emptied before each."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest_asyncio

from pipeline.stack import Endpoints
from tests.conftest import database_url
from tests.support.ledger import Ledger

MakeLedger = Callable[..., Awaitable[Ledger]]
_EMPTY = """
    DELETE FROM finance.property_time_zones; DELETE FROM finance.properties;
    DELETE FROM finance.revenues_partitioned; DELETE FROM finance.expenses_partitioned;
    DELETE FROM finance.daily_cash_balances_partitioned;
    DELETE FROM event_store.events; DELETE FROM event_store.snapshots;
    DELETE FROM ops.outbox; DELETE FROM ops.dead_letters; DELETE FROM ops.lane_rules; DELETE FROM ops.lanes;
"""


@pytest_asyncio.fixture(scope="session")
async def books_database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    """A migrated database that stays: to empty it takes a fraction of making another."""
    name = f"test_books_{os.getpid()}"
    admin = await asyncpg.connect(stack.database_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")
    try:
        yield database_url(stack.database_url, name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest_asyncio.fixture
async def make_ledger(books_database: str) -> AsyncIterator[MakeLedger]:
    """Makes ledgers on empty books, with every lane claimed; one made later shuts out those before."""
    admin = await asyncpg.connect(books_database, server_settings={"timezone": "UTC"})
    await admin.execute(_EMPTY)
    ledgers: list[Ledger] = []

    async def make(url: str = books_database, **options: Any) -> Ledger:
        ledger = Ledger(url, admin, **options)
        ledgers.append(ledger)
        return await ledger.claim()

    try:
        yield make
    finally:
        for ledger in ledgers:
            ledger.books.discard()
        await admin.close()


@pytest_asyncio.fixture
async def ledger(make_ledger: MakeLedger) -> Ledger:
    """Books with two lanes, both ours."""
    return await make_ledger()
