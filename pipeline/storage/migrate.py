"""Bringing a database to the schema that this code needs, with pogo's runner of plain .sql files."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

import sql
from pipeline.errors import DatabaseUnavailable, SchemaMismatch
from pipeline.settings import BatchSettings, PartitionSettings

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
    connection: asyncpg.Connection, directory: Path = sql.MIGRATIONS, months: MonthsKept | None = None
) -> list[str]:
    """Apply what is missing, then make the months around now; returns the names applied.

    Raises SchemaMismatch when a migration fails (its own transaction is rolled back).
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
    try:
        missing = sorted(set(known_migrations(directory)) - await applied_migrations(connection))
        await pogo.apply(connection, directory, schema_name=_SCHEMA_NAME, logger=_quiet)
        await ensure_months(connection, months or MonthsKept())
    except BadMigrationError as error:
        raise SchemaMismatch(f"{error}: {error.__cause__}") from error
    except (asyncpg.PostgresConnectionError, OSError) as error:
        raise DatabaseUnavailable(f"the database was lost while migrating: {error}") from error
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _ADVISORY_LOCK)
    return missing


async def ensure_months(connection: asyncpg.Connection, months: MonthsKept) -> int:
    """Make the monthly partitions around now that are missing; returns how many."""
    made: int = await connection.fetchval(
        "SELECT ops.ensure_months($1, $2, $3)", datetime.now(UTC).date(), months.back, months.ahead
    )
    return made


async def require_schema(connection: asyncpg.Connection) -> None:
    """Raises SchemaMismatch unless the database has had every migration that this code ships."""
    missing = sorted(set(known_migrations()) - await applied_migrations(connection))
    if missing:
        raise SchemaMismatch(f"the database lacks {', '.join(missing)}: run `folio migrate`")
