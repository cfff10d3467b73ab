"""A read that is one statement: bounded at both ends, tried again where its connection is lost, and a reader's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

import asyncpg
import pytest
import pytest_asyncio

from pipeline.errors import DatabaseUnavailable, SettingsRefused
from pipeline.stack import Endpoints
from pipeline.storage.primary import PrimaryBalances, PrimaryDay
from pipeline.storage.reading import Reads
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.router import ReplicaReaders
from tests.replicas.cluster import quick_settings
from tests.support.waiting import until

DAY = (1, 1, date(2026, 11, 29))


@asynccontextmanager
async def opened(database: str, **overrides: str) -> AsyncIterator[ReplicaReaders]:
    endpoints = Endpoints(database, "", "")
    async with open_readers(quick_settings(**overrides), endpoints) as readers:
        yield readers


def read(readers: ReplicaReaders) -> "asyncio.Task[PrimaryDay]":
    return asyncio.create_task(PrimaryBalances(Reads(readers)).of_day(DAY))


class Blocker:
    """Somebody who has the whole table for himself, and sees who waits for it."""

    def __init__(self, holder: asyncpg.Connection, connection: asyncpg.Connection) -> None:
        self._holder = holder
        self._connection = connection  # within a transaction nothing new would be seen

    async def take(self) -> None:
        await self._holder.execute("BEGIN; LOCK finance.daily_cash_balances_partitioned")

    async def let_go(self) -> None:
        await self._holder.execute("ROLLBACK")

    async def waiting(self) -> list[int]:
        rows = await self._connection.fetch(
            "SELECT pid FROM pg_stat_get_activity(NULL) WHERE query LIKE '%newest_balance(%' AND state = 'active' "
            "AND pid <> pg_backend_pid() AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return [row["pid"] for row in rows]

    async def end(self, pid: int) -> None:
        await self._connection.fetchval("SELECT pg_terminate_backend($1)", pid)

    async def one_waits(self) -> bool:
        return len(await self.waiting()) == 1

    async def nobody_waits(self) -> bool:
        return not await self.waiting()


@pytest_asyncio.fixture
async def blocker(database: str) -> AsyncIterator[Blocker]:
    holder, connection = await asyncpg.connect(database), await asyncpg.connect(database)
    yield Blocker(holder, connection)
    await holder.close()
    await connection.close()


async def test_a_connection_that_is_lost_meanwhile_costs_another_attempt(database: str, blocker: Blocker) -> None:
    async with opened(database) as readers:
        await blocker.take()
        asked = read(readers)
        await until(blocker.one_waits)
        (pid,) = await blocker.waiting()
        await blocker.end(pid)
        await until(blocker.one_waits)
        await blocker.let_go()
        assert (await asked).newest is None
        assert readers.pools[0].connections_in_use() == 0


async def test_the_server_ends_what_takes_too_long_and_it_is_not_tried_again(database: str, blocker: Blocker) -> None:
    async with opened(database, REPLICA_ANSWER_TIMEOUT_SECONDS="0.3") as readers:
        await read(readers)
        await blocker.take()
        asked = [read(readers) for _ in range(5)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(each, DatabaseUnavailable) for each in outcomes), outcomes
        await until(blocker.nobody_waits, 2)
        await blocker.let_go()
        assert (await read(readers)).newest is None
        assert readers.pools[0].connections_in_use() == 0


async def test_who_gives_up_leaves_a_server_that_does_so_too(database: str, blocker: Blocker) -> None:
    async with opened(database, REPLICA_ANSWER_TIMEOUT_SECONDS="0.3") as readers:
        await blocker.take()
        asked = read(readers)
        await until(blocker.one_waits)
        asked.cancel()
        await asyncio.wait([asked])
        await until(blocker.nobody_waits, 2)
        await blocker.let_go()
        assert readers.pools[0].connections_in_use() == 0


async def test_nothing_of_it_is_left_on_its_connection(database: str) -> None:
    async with opened(database, POOL_PRIMARY_MAX="1", POOL_PRIMARY_MIN="1") as readers:
        before = await read(readers)
        pool = await readers.pools[0].open()
        async with pool.acquire() as connection:
            names = ("role", "folio.org_id", "transaction_timeout", "lock_timeout", "plan_cache_mode")
            left = [await connection.fetchval("SELECT current_setting($1, true)", name) for name in names]
        assert left == ["none", "", "0", "0", "auto"]
        assert before.epoch == (await read(readers)).epoch


async def test_a_role_that_the_login_may_not_take_is_told_as_such(database: str) -> None:
    async with opened(database, POOL_ROLE="nobody_at_all") as readers:
        with pytest.raises(SettingsRefused, match="FOLIO_POOL_ROLE"):
            await read(readers)
