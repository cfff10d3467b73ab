"""Migrations arrive at one schema from wherever they begin, go back to nothing, and never stop half way."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from pogo_core.util import migrate as pogo

import sql
from pipeline.errors import SchemaMismatch
from pipeline.settings import DatabaseSettings
from pipeline.storage.connect import connect_worker
from pipeline.storage.migrate import MonthsKept, applied_migrations, known_migrations, migrate, require_schema
from tests.support.schema_dump import schema_dump

NAMES = known_migrations()
_quiet = logging.getLogger("tests.migrations")
_quiet.setLevel(logging.ERROR)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def first(count: int, folder: Path) -> Path:
    """A folder with the first `count` migrations: an earlier version of this code."""
    for name in NAMES[:count]:
        shutil.copy(sql.MIGRATIONS / f"{name}.sql", folder)
    return folder


async def apply(connection: asyncpg.Connection, folder: Path) -> None:
    await pogo.apply(connection, folder, schema_name="public", logger=_quiet)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(name.split("_")[0]) for name in NAMES] == list(range(1, len(NAMES) + 1))


@pytest.mark.parametrize("count", range(1, len(NAMES)))
async def test_from_each_earlier_version_the_schema_is_the_one_from_nothing(
    nothing: str, database: str, count: int, tmp_path: Path
) -> None:
    async with connected(nothing) as connection, connected(database) as from_nothing:
        await apply(connection, first(count, tmp_path))
        assert await migrate(connection) == NAMES[count:]
        assert await schema_dump(connection) == await schema_dump(from_nothing)


async def test_each_rollback_takes_back_exactly_its_own_migration(nothing: str, tmp_path: Path) -> None:
    async with connected(nothing) as connection:
        dumps = []
        for count in range(len(NAMES) + 1):
            await apply(connection, first(count, tmp_path))
            dumps.append(await schema_dump(connection))
        for count in reversed(range(len(NAMES))):
            await pogo.rollback(connection, sql.MIGRATIONS, schema_name="public", count=1, logger=_quiet)
            assert await schema_dump(connection) == dumps[count], NAMES[count]
        left = {row for row in dumps[0] if row[0] != "roles"}
        assert left == set()


async def test_rolling_back_what_holds_months_and_rows_leaves_nothing(database: str) -> None:
    async with connected(database) as connection:
        await connection.execute("INSERT INTO ops.lanes (lane) VALUES (0)")
        await pogo.rollback(connection, sql.MIGRATIONS, schema_name="public", logger=_quiet)
        assert {row for row in await schema_dump(connection) if row[0] != "roles"} == set()
        assert await applied_migrations(connection) == set()
        assert await migrate(connection) == NAMES


async def test_migrating_twice_changes_nothing(database: str) -> None:
    async with connected(database) as connection:
        before = await schema_dump(connection)
        assert await migrate(connection) == []
        assert await schema_dump(connection) == before


async def test_months_are_made_as_far_as_they_are_asked_for(nothing: str) -> None:
    async with connected(nothing) as connection:
        await migrate(connection, months=MonthsKept(back=2, ahead=5))
        counts = "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass"
        assert await connection.fetchval(counts, "finance.revenues_partitioned") == 2 + 1 + 5 + 1  # and the default one
        assert await connection.fetchval(counts, "event_store.events") == 1 + 5 + 1


async def test_two_at_once_apply_each_migration_once(nothing: str, database: str) -> None:
    async with connected(nothing) as one, connected(nothing) as two, connected(database) as reference:
        applied = await asyncio.gather(migrate(one), migrate(two))
        assert sorted(applied) == [[], NAMES]
        assert await schema_dump(one) == await schema_dump(reference)


async def test_a_migration_that_fails_says_which_and_why_and_leaves_nothing_half_done(
    database: str, tmp_path: Path
) -> None:
    folder = first(len(NAMES), tmp_path)
    (folder / "9000_half.sql").write_text(
        f"-- half\n-- depends: {NAMES[-1]}\n-- migrate: apply\n"
        "CREATE TABLE finance.half (id int);\nSELECT 1 / 0;\n-- migrate: rollback\nDROP TABLE finance.half;\n"
    )
    async with connected(database) as connection, connected(database) as other:
        before = await schema_dump(connection)
        with pytest.raises(SchemaMismatch, match=r"9000_half.*division by zero"):
            await migrate(connection, folder)
        assert await schema_dump(connection) == before
        assert "9000_half" not in await applied_migrations(connection)
        # The lock is free again: another run need not wait for this connection to end.
        assert await asyncio.wait_for(migrate(other), 20) == []


async def test_a_worker_refuses_a_schema_that_lacks_a_migration_and_names_it(nothing: str, tmp_path: Path) -> None:
    async with connected(nothing) as connection:
        with pytest.raises(SchemaMismatch, match=r"0001_schemas_and_roles.*run `folio migrate`"):
            await require_schema(connection)
        await apply(connection, first(len(NAMES) - 1, tmp_path))
        with pytest.raises(SchemaMismatch, match=f"lacks {NAMES[-1]}:"):
            await require_schema(connection)


async def test_a_worker_may_read_which_migrations_there_were(database: str) -> None:
    connection = await connect_worker(database, DatabaseSettings(), "test")
    try:
        await require_schema(connection)
    finally:
        await connection.close()
