"""Connections to PostgreSQL: those that write the books, with every bound in place, and those that only look."""

import asyncpg

import sql
from pipeline.settings import DatabaseSettings

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
    if settings.role is not None:
        await connection.execute(f"SET ROLE {quoted(settings.role)}")
    return connection


async def connect_writer(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A worker's connection with staging tables of its own."""
    connection = await connect_worker(url, settings, application_name)
    await connection.execute(sql.query("create_staging"))
    return connection


def quoted(identifier: str) -> str:
    """An identifier of SQL, whatever it contains."""
    return '"' + identifier.replace('"', '""') + '"'


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
