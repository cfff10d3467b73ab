"""Books that real batches have written, and repositories that read them as folio_reader does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest_asyncio

from pipeline.stack import Endpoints
from pipeline.storage.as_of import AsOf
from pipeline.storage.balances import Balances
from pipeline.storage.readers import DirectReaders
from pipeline.storage.reading import Reads
from pipeline.storage.reports import Reports
from pipeline.storage.transactions import Transactions
from tests.support.databases import EMPTY_THE_BOOKS, a_database
from tests.support.ledger import Ledger

MakeLedger = Callable[..., Awaitable[Ledger]]


@dataclass(frozen=True)
class Repositories:
    """All of them, over the same readers."""

    reads: Reads
    balances: Balances
    transactions: Transactions
    reports: Reports
    as_of: AsOf


def repositories_of(reads: Reads) -> Repositories:
    return Repositories(reads, Balances(reads), Transactions(reads), Reports(reads), AsOf(reads))


@pytest_asyncio.fixture(scope="session")
async def books_database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    """A migrated database that stays."""
    async with a_database(stack.database_url, template) as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def pool(books_database: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(
        books_database, min_size=1, max_size=4, server_settings={"timezone": "UTC"}
    ) as opened:
        yield opened


@pytest_asyncio.fixture
async def make_ledger(books_database: str) -> AsyncIterator[MakeLedger]:
    """Makes ledgers on empty books, whose events are recorded in a month of the store."""
    admin = await asyncpg.connect(books_database, server_settings={"timezone": "UTC"})
    await admin.execute(EMPTY_THE_BOOKS)
    await admin.execute("SELECT ops.ensure_month('event_store.events', 'recorded_at', '2026-03-01')")
    ledgers: list[Ledger] = []

    async def make(**options: Any) -> Ledger:
        ledgers.append(Ledger(books_database, admin, **options))
        return await ledgers[-1].claim()

    try:
        yield make
    finally:
        for ledger in ledgers:
            ledger.books.discard()
        await admin.close()


@pytest_asyncio.fixture
async def ledger(make_ledger: MakeLedger) -> Ledger:
    return await make_ledger()


@pytest_asyncio.fixture
async def repositories(pool: asyncpg.Pool) -> Repositories:
    return repositories_of(Reads(DirectReaders(pool)))
