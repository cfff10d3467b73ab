"""One run of maintenance at a time, by the owner of the tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

import sql
from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.state import MONTHLY
from pipeline.settings import DatabaseSettings

_ADVISORY_LOCK: Final = 0x464F4C4D  # "FOLM"; migrations have another


async def connect_maintainer(url: str, settings: DatabaseSettings, application_name: str) -> asyncpg.Connection:
    """A connection as the login itself: the owner of the tables. Its steps set their own bounds.

    A command that is suspended, or cut off, inside a step would hold up the stream for as long as that lasts.
    """
    return await asyncpg.connect(
        url,
        timeout=settings.connect_timeout_seconds,
        server_settings={
            "application_name": application_name,
            "timezone": "UTC",
            "datestyle": "ISO",
            "idle_in_transaction_session_timeout": f"{settings.idle_in_transaction_timeout_seconds}s",
            "tcp_user_timeout": f"{settings.lock_timeout_seconds}s",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        },
    )


async def require_owner(connection: asyncpg.Connection) -> None:
    """Raises SettingsRefused for a login that does not own the tables: PostgreSQL lets nobody else change them."""
    if not await connection.fetchval(sql.query("owns_tables"), list(MONTHLY)):
        raise SettingsRefused(
            "FOLIO_DATABASE_URL: partitions are made and taken away by the owner of the tables, who runs `folio "
            "migrate`; plan and status need folio_operator alone (docs/security.md)"
        )


@asynccontextmanager
async def only_run(connection: asyncpg.Connection) -> AsyncIterator[bool]:
    """Whether this run is the only one; the lock goes with its session, however that ends."""
    ours: bool = await connection.fetchval(sql.query("try_advisory_lock"), _ADVISORY_LOCK)
    yield ours
    if ours:
        await connection.fetchval(sql.query("advisory_unlock"), _ADVISORY_LOCK)
