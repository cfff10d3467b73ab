"""Real books for the tests that need a database: one database for all of them, emptied before each."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest_asyncio

from pipeline.stack import Endpoints
from tests.support.databases import EMPTY_THE_BOOKS, a_database
from tests.support.ledger import Ledger

MakeLedger = Callable[..., Awaitable[Ledger]]


@pytest_asyncio.fixture(scope="session")
async def books_database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    """A migrated database that stays."""
    async with a_database(stack.database_url, template) as url:
        yield url


@pytest_asyncio.fixture
async def make_ledger(books_database: str) -> AsyncIterator[MakeLedger]:
    """Makes ledgers on empty books, with every lane claimed; one made later shuts out those before."""
    admin = await asyncpg.connect(books_database, server_settings={"timezone": "UTC"})
    await admin.execute(EMPTY_THE_BOOKS)
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
