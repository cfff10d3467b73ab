"""Databases for the tests of the schema itself."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from pipeline.stack import Endpoints
from tests.support.databases import a_database


@pytest_asyncio.fixture
async def nothing(stack: Endpoints) -> AsyncIterator[str]:
    """The URL of a database that has had no migration."""
    async with a_database(stack.database_url) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def module_database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database that the tests of a module share, each leaving it as it was."""
    async with a_database(stack.database_url, template) as url:
        yield url


@pytest_asyncio.fixture
async def admin(module_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right; what a test does over it is undone."""
    connection = await asyncpg.connect(module_database)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()
