"""Bringing a database to the schema that this code needs, with pogo's runner of plain .sql files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

import sql
from pipeline.errors import DatabaseUnavailable, SchemaMismatch
from pipeline.settings import BatchSettings, PartitionSettings
from pipeline.storage.locks import LOCKED, bound_step, described, is_locked, patiently

# Two `folio migrate` at once would both find the same migration missing; the second one waits here.
_ADVISORY_LOCK = 0x464F4C494F  # "FOLIO"
_SCHEMA_NAME = "public"
_quiet = logging.getLogger("pipeline.migrations")
_quiet.setLevel(logging.ERROR)  # pogo reports progress as warnings; we print our own


@dataclass(frozen=True, slots=True)
class MonthsKept:
    """How many months before and after the present one are made."""

    back: int = BatchSettings().retention_months
    ahead: int = PartitionSettings().months_ahead


def known_migrations(directory: Path = sql.MIGRATIONS) -> list[str]:
    """The names of the migrations that this code ships, in order."""
    return sorted(path.stem for path in directory.glob("*.sql"))


async def applied_migrations(connection: asyncpg.Connection) -> set[str]:
    """The names of the migrations that the database has had."""
    if await pogo_sql.get_pogo_version(connection) is None:
        return set()
    return await pogo_sql.get_applied_migrations(connection, schema_name=_SCHEMA_NAME)


async def migrate(
    connection: asyncpg.Connection,
    directory: Path = sql.MIGRATIONS,
    months: MonthsKept | None = None,
    locks: PartitionSettings | None = None,
) -> list[str]:
    """Apply what is missing, then make the months around now; returns the names applied.

    Each migration is a transaction, and so is each month. None waits for a lock for longer than others may stand behind
    it: it lets go and is tried again, as often as `locks` say. Raises SchemaMismatch when a migration fails (its own
    transaction is rolled back), DatabaseUnavailable when a lock was not to be had; what was done before stays done.
    """
    bounds = locks or PartitionSettings()
    await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
    try:
        missing = sorted(set(known_migrations(directory)) - await applied_migrations(connection))
        await _apply(connection, directory, bounds)
        await ensure_months(connection, months or MonthsKept(), bounds)
    except BadMigrationError as error:
        raise SchemaMismatch(f"{error}: {error.__cause__}") from error
    except (asyncpg.PostgresConnectionError, OSError) as error:
        raise DatabaseUnavailable(f"the database was lost while migrating: {error}") from error
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _ADVISORY_LOCK)
    return missing


async def _apply(connection: asyncpg.Connection, directory: Path, bounds: PartitionSettings) -> None:
    """Every migration that is missing. An attempt goes on with the one at which the last attempt had no lock."""

    async def attempt() -> None:
        await pogo.apply(connection, directory, schema_name=_SCHEMA_NAME, logger=_quiet)

    await connection.execute(sql.query("bound_lock_waits"), f"{bounds.lock_timeout_ms}ms")
    try:
        await patiently(bounds, "migrate", attempt)
    except BadMigrationError as error:
        if not is_locked(error):
            raise
        holders = await connection.fetch(sql.query("longest_transactions"))
        raise _not_given(str(error), bounds, holders) from error
    finally:
        if not connection.is_closed():
            await connection.execute("RESET lock_timeout")


async def ensure_months(connection: asyncpg.Connection, months: MonthsKept, bounds: PartitionSettings) -> int:
    """Make the monthly partitions around now that are missing, one at a time; returns how many."""
    missing = await connection.fetch(sql.query("missing_months"), datetime.now(UTC).date(), months.back, months.ahead)
    for table, column, month in missing:
        await _make_month(connection, (table, column, month), bounds)
    return len(missing)


async def _make_month(connection: asyncpg.Connection, place: tuple[str, str, date], bounds: PartitionSettings) -> None:
    table, _, month = place

    async def attempt() -> None:
        async with connection.transaction():
            await bound_step(connection, bounds)
            await connection.execute(sql.query("ensure_month"), *place)

    doing = f"make {month:%Y-%m} of {table}"
    try:
        await patiently(bounds, doing, attempt)
    except LOCKED as error:
        holders = await connection.fetch(sql.query("lock_holders"), table)
        raise _not_given(doing, bounds, holders) from error
    except asyncpg.QueryCanceledError as error:
        raise DatabaseUnavailable(
            f"{doing}: not within {bounds.step_seconds_max:g} s, and writers may have waited; it is not made. The "
            "migrations are applied: set FOLIO_PARTITIONS_STEP_SECONDS_MAX higher in a quiet hour and run it again"
        ) from error


def _not_given(doing: str, bounds: PartitionSettings, holders: Sequence[asyncpg.Record]) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"{doing}: no lock in {bounds.lock_attempts} attempts of {bounds.lock_timeout_ms} ms each; transactions in the "
        f"way may be {described(holders)}. Nothing of it is done, what came before is: run `folio migrate` again"
    )


async def require_schema(connection: asyncpg.Connection) -> None:
    """Raises SchemaMismatch unless the database has had every migration that this code ships."""
    missing = sorted(set(known_migrations()) - await applied_migrations(connection))
    if missing:
        raise SchemaMismatch(f"the database lacks {', '.join(missing)}: run `folio migrate`")
