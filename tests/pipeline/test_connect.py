"""Connections of workers: least privilege, every wait bounded, and none left behind."""

import asyncio

import asyncpg
import pytest

from pipeline.errors import SettingsRefused
from pipeline.settings import DatabaseSettings
from pipeline.storage.connect import connect, connect_worker, connect_writer, quoted


async def settings_of(connection: asyncpg.Connection, *names: str) -> list[str]:
    try:
        return [await connection.fetchval(f"SHOW {name}") for name in names]
    finally:
        await connection.close()


async def test_a_workers_waits_are_all_bounded(database: str) -> None:
    bounds = DatabaseSettings(
        lock_timeout_seconds=1.5, transaction_timeout_seconds=20, idle_in_transaction_timeout_seconds=3
    )
    connection = await connect_worker(database, bounds, "a worker")
    shown = await settings_of(
        connection,
        "lock_timeout",
        "transaction_timeout",
        "idle_in_transaction_session_timeout",
        "application_name",
        "timezone",
        "role",
    )
    assert shown == ["1500ms", "20s", "3s", "a worker", "UTC", "folio_writer"]


async def test_a_writer_has_its_staging_tables_and_an_onlooker_has_not(database: str) -> None:
    statement = "SELECT count(*) FROM pg_class WHERE relname LIKE 'staging\\_%' AND relnamespace = pg_my_temp_schema()"
    writer, onlooker = (
        await connect_writer(database, DatabaseSettings(), "w"),
        await connect(database, DatabaseSettings(), "o"),
    )
    try:
        assert [await each.fetchval(statement) for each in (writer, onlooker)] == [2, 0]
    finally:
        await writer.close()
        await onlooker.close()


async def test_without_a_role_a_worker_stays_who_it_is(database: str) -> None:
    assert await settings_of(await connect_worker(database, DatabaseSettings(role=None), "w"), "role") == ["none"]


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "semi;colon", "MixedCase"])
async def test_a_quoted_identifier_is_one_identifier(database: str, name: str) -> None:
    connection = await connect(database, DatabaseSettings(), "t")
    try:
        assert await connection.fetchval(f"SELECT 1 AS {quoted(name)}") == 1
        row = await connection.fetchrow(f"SELECT 1 AS {quoted(name)}")
        assert row is not None
        assert list(row.keys()) == [name]
    finally:
        await connection.close()


async def test_a_connection_that_cannot_take_its_role_is_closed_and_names_the_setting(database: str) -> None:
    onlooker = await connect(database, DatabaseSettings(), "onlooker")
    try:
        with pytest.raises(SettingsRefused, match="FOLIO_DATABASE_ROLE='nobody_knows'"):
            await connect_worker(database, DatabaseSettings(role="nobody_knows"), "lost")
        async with asyncio.timeout(5):  # the server notices a moment after us
            while await onlooker.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'lost'"):
                await asyncio.sleep(0.02)
    finally:
        await onlooker.close()
