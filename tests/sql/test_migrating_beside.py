"""Migrations beside a stream that goes on: a long reader holds them up, and nobody else."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from pogo_core.util import migrate as pogo

import sql
from pipeline.errors import DatabaseUnavailable
from pipeline.settings import PartitionSettings
from pipeline.storage.migrate import applied_migrations, known_migrations, migrate

NAMES = known_migrations()
# 0019 alters, one after the other, the store, the snapshots, the corrections and the adjustments.
BEFORE_READS = 18
HELD_SECONDS = 3.0
# A wait of ours lasts 0.2 s; there may be another statement's behind it, and the machine may be busy.
STALL_SECONDS_MAX = 1.5


@asynccontextmanager
async def connected(url: str, name: str = "test") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, server_settings={"application_name": name})
    try:
        yield connection
    finally:
        await connection.close()


async def an_earlier_version(connection: asyncpg.Connection, folder: Path) -> None:
    for name in NAMES[:BEFORE_READS]:
        shutil.copy(sql.MIGRATIONS / f"{name}.sql", folder)
    await pogo.apply(connection, folder, schema_name="public")


async def read_for(seconds: float, url: str, table: str) -> float:
    """Read a table again and again; returns how long the longest read took."""
    loop, longest = asyncio.get_running_loop(), 0.0
    async with connected(url) as reader:
        ends = loop.time() + seconds
        while (began := loop.time()) < ends:
            await reader.fetch(f"SELECT FROM {table} LIMIT 1", timeout=2 * STALL_SECONDS_MAX)
            longest = max(longest, loop.time() - began)
            await asyncio.sleep(0.01)
    return longest


async def test_behind_a_migration_that_waits_nobody_waits_long(nothing: str, tmp_path: Path) -> None:
    async with connected(nothing) as connection, connected(nothing) as holder:
        await an_earlier_version(connection, tmp_path)
        async with holder.transaction():
            await holder.fetch("SELECT FROM ops.balance_adjustments")
            migrating = asyncio.create_task(migrate(connection))
            longest = await read_for(HELD_SECONDS, nothing, "event_store.events")
            assert not migrating.done(), "there was nothing to wait for"
        assert longest < STALL_SECONDS_MAX, f"a read took {longest:.3f} s"
        assert await asyncio.wait_for(migrating, 60) == NAMES[BEFORE_READS:]
        assert await connection.fetchval("SHOW lock_timeout") == "0"


async def test_behind_a_month_that_waits_nobody_waits_long(database: str) -> None:
    async with connected(database) as connection, connected(database) as holder:
        month = "finance.revenues_" + await connection.fetchval("SELECT to_char(current_date, 'YYYY_MM')")
        await connection.execute(f"DROP TABLE {month}")
        async with holder.transaction():
            await holder.fetch("SELECT FROM finance.revenues_default")
            migrating = asyncio.create_task(migrate(connection))
            longest = await read_for(HELD_SECONDS, database, "finance.revenues_partitioned")
            assert not migrating.done(), "there was nothing to wait for"
        assert longest < STALL_SECONDS_MAX, f"a read took {longest:.3f} s"
        assert await asyncio.wait_for(migrating, 60) == []
        assert await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", month)


async def test_one_that_has_no_lock_in_the_end_names_who_has_and_the_next_run_goes_on(
    nothing: str, tmp_path: Path
) -> None:
    few = PartitionSettings(lock_timeout_ms=20, lock_attempts=2)
    async with connected(nothing) as connection, connected(nothing, "a report") as holder:
        await an_earlier_version(connection, tmp_path)
        async with holder.transaction():
            await holder.fetch("SELECT FROM event_store.snapshots")
            with pytest.raises(
                DatabaseUnavailable, match=r"0019_reads: no lock in 2 attempts of 20 ms.*a report \(pid"
            ):
                await migrate(connection, locks=few)
        assert await applied_migrations(connection) == set(NAMES[:BEFORE_READS])
        assert await migrate(connection, locks=few) == NAMES[BEFORE_READS:]


async def test_one_month_that_has_no_lock_in_the_end_says_which(database: str) -> None:
    few = PartitionSettings(lock_timeout_ms=20, lock_attempts=2)
    async with connected(database) as connection, connected(database, "a report") as holder:
        month = await connection.fetchval("SELECT to_char(current_date, 'YYYY_MM')")
        await connection.execute(f"DROP TABLE event_store.events_{month}")
        async with holder.transaction():
            await holder.fetch("SELECT FROM event_store.events_default")
            said = rf"make {month.replace('_', '-')} of event_store.events: no lock in 2 attempts.*a report \(pid"
            with pytest.raises(DatabaseUnavailable, match=said):
                await migrate(connection, locks=few)
