"""Connections to PostgreSQL: those that write the books, with every bound in place, and those that only look."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import asyncpg

import sql
from pipeline.errors import SettingsRefused
from pipeline.settings import DatabaseSettings
from pipeline.translate import database_errors

_CLOSE_SECONDS = 1.0
# A snapshot that is held for longer keeps vacuum from the rows of a whole busy quarter of an hour.
_MUCH_SECONDS = 900.0
_MUCH_MEMORY = "64MB"  # of a sort, before it goes to the disk
# Beyond the server's own bound on a statement: whoever answers this late is stalled.
_STALLED_SECONDS = 5.0
OVERSEER = "folio_operator"

# A writer only ever probes by key, whatever the planner believes of tables that were just made or have just grown.
# Generic plans: a batch's arrays would otherwise be planned anew each time.
_PROBE_BY_KEY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}


async def connect(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A connection for commands: as the login itself, with a bound on connecting."""
    return await asyncpg.connect(
        url,
        timeout=settings.connect_timeout_seconds,
        server_settings={"application_name": application_name, "timezone": "UTC"},
    )


@asynccontextmanager
async def briefly(connecting: Awaitable[asyncpg.Connection], doing: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection for a few statements. Raises ours for what the driver raises.

    Whoever leaves it early, by an error or cancelled, does not wait for a server that may never answer again.
    """
    with database_errors(doing):
        connection = await connecting
        async with _dropped_on_failure(connection):
            yield connection
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            connection.terminate()  # what was asked of it was answered


async def connect_worker(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A connection with the rights of a writer, whose waits all have a bound below the takeover bound."""
    connection = await asyncpg.connect(
        url,
        timeout=settings.connect_timeout_seconds,
        command_timeout=settings.transaction_timeout_seconds + settings.lock_timeout_seconds,
        server_settings={
            "application_name": application_name,
            "timezone": "UTC",
            "lock_timeout": _milliseconds(settings.lock_timeout_seconds),
            "transaction_timeout": _milliseconds(settings.transaction_timeout_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout_seconds),
            # The server notices a vanished worker by the same bound, and lets go of its locks.
            "tcp_user_timeout": _milliseconds(settings.lock_timeout_seconds),
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            **_PROBE_BY_KEY,
        },
    )
    async with _dropped_on_failure(connection):
        if settings.role is not None:
            await _set_role(connection, settings.role)
    return connection


async def connect_holder(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A connection for commands that lock lanes: as the login itself, with every bound of a worker's.

    A command that is suspended, or cut off, in the middle would hold up the whole stream for as long as that lasts.
    """
    return await connect_worker(url, settings.model_copy(update={"role": None}), application_name)


async def connect_writer(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A worker's connection with staging tables of its own. Instants go over it as numbers (schemas.instants)."""
    connection = await connect_worker(url, settings, application_name)
    async with _dropped_on_failure(connection):
        await connection.execute(sql.query("create_staging"))
        # The driver takes most of a microsecond to encode a datetime, and each event brings five: more than all else of
        # its row. Instants count as PostgreSQL does (schemas.instants), and go over the wire as the integers they are.
        await connection.set_builtin_type_codec("timestamptz", schema="pg_catalog", codec_name="int8", format="binary")
    return connection


async def connect_reader_of_much(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A connection that reads large parts of the tables, with a writer's rights, and holds no lane.

    Planned as the planner likes: what it reads is sorted and joined as sets. Instants are numbers (schemas.instants).
    """
    connection = await asyncpg.connect(
        url,
        timeout=settings.connect_timeout_seconds,
        command_timeout=_MUCH_SECONDS,
        server_settings={
            "application_name": application_name,
            "timezone": "UTC",
            "transaction_timeout": _milliseconds(_MUCH_SECONDS),
            "work_mem": _MUCH_MEMORY,
            # It takes longer to compile than a page of rows takes to read.
            "jit": "off",
        },
    )
    async with _dropped_on_failure(connection):
        if settings.role is not None:
            await _set_role(connection, settings.role)
        await connection.set_builtin_type_codec("timestamptz", schema="pg_catalog", codec_name="int8", format="binary")
    return connection


async def connect_overseer(
    url: str, settings: DatabaseSettings, application_name: str, statement_seconds: float
) -> asyncpg.Connection:
    """A connection that sees everybody's rows and changes none: an operator's rights, whatever the login has besides.

    Each statement is bounded, for it may read tables from end to end. Raises SettingsRefused for a login that is no
    member of folio_operator.
    """
    try:
        return await asyncpg.connect(
            url,
            timeout=settings.connect_timeout_seconds,
            command_timeout=statement_seconds + _STALLED_SECONDS,
            server_settings={
                "application_name": application_name,
                "timezone": "UTC",
                "datestyle": "ISO",
                "role": OVERSEER,
                "default_transaction_read_only": "on",
                "statement_timeout": _milliseconds(statement_seconds),
                # Who left is noticed, and the locks of a long count with it.
                "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout_seconds),
                "tcp_user_timeout": _milliseconds(settings.lock_timeout_seconds),
                "jit": "off",
            },
        )
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
        raise SettingsRefused(f"the login is no member of {OVERSEER}: {error}") from error


@asynccontextmanager
async def _dropped_on_failure(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A connection that could not be made ready, or was cancelled on the way, is nobody's: do not leave it open."""
    try:
        yield
    except BaseException:
        connection.terminate()
        raise


async def _set_role(connection: asyncpg.Connection, role: str) -> None:
    try:
        await connection.execute(f"SET ROLE {quoted(role)}")
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
        raise SettingsRefused(
            f"FOLIO_DATABASE_ROLE={role!r}: {error}; name a role that the login is a member of, "
            "or leave it empty to stay the login itself"
        ) from error


def quoted(identifier: str) -> str:
    """An identifier of SQL, whatever it contains."""
    return '"' + identifier.replace('"', '""') + '"'


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
