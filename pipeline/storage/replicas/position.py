"""Where servers stand, as they say themselves."""

import asyncpg

import sql
from pipeline.storage.connect import briefly
from pipeline.storage.intent import ReadYourWrites
from pipeline.storage.replicas.choice import Position


async def written(connection: asyncpg.Connection) -> ReadYourWrites:
    """What to read by, for whoever has just committed on this connection to the primary.

    Asked after COMMIT was answered, with synchronous_commit on: then the commit's record lies before what was written.
    """
    position = await position_of(connection)
    return ReadYourWrites(position.lsn, position.epoch)


async def ask_position(url: str, timeout_seconds: float) -> Position:
    """Over a connection of its own: the pool's may all be in use. Raises DatabaseUnavailable, SettingsRefused."""
    connecting = asyncpg.connect(
        url,
        timeout=timeout_seconds,
        command_timeout=timeout_seconds,
        statement_cache_size=0,  # there may be a PgBouncer in between
        server_settings={"application_name": "folio replica health"},
    )
    async with briefly(connecting, "asking where a server stands") as connection:
        return await position_of(connection)


async def position_of(connection: asyncpg.Connection) -> Position:
    """In a transaction, so that PgBouncer leaves both messages of a statement with one server."""
    async with connection.transaction(readonly=True):
        row = await connection.fetchrow(sql.query("server_position"))
    assert row is not None, "every server stands somewhere"
    return Position(row["epoch"], row["in_recovery"], row["lsn"], row["clock"], row["replayed_at"])
