"""Databases for the tests of the schema itself."""

import itertools
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from pipeline.stack import Endpoints
from tests.conftest import database_url

_numbers = itertools.count(1)


@pytest_asyncio.fixture
async def nothing(stack: Endpoints) -> AsyncIterator[str]:
    """The URL of a database that has had no migration."""
    name = f"test_nothing_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(stack.database_url)
    await admin.execute(f"CREATE DATABASE {name} STRATEGY WAL_LOG")
    try:
        yield database_url(stack.database_url, name)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest_asyncio.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right to a migrated database of this test's own."""
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()
