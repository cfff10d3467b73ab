"""One run of maintenance at a time, and locks that writers notice for a fifth of a second at most."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg
import stamina

import sql
from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.state import MONTHLY
from pipeline.settings import DatabaseSettings, PartitionSettings

T = TypeVar("T")

# What the database says of a lock that was not to be had. Nothing of the transaction is left.
LOCKED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_ADVISORY_LOCK: Final = 0x464F4C4D  # "FOLM"; migrations have another
# Between two attempts at a lock: by chance, lest we come with every batch of a writer that has a rhythm.
_PAUSE_SECONDS: Final = 0.5
_JITTER_SECONDS: Final = 1.0


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


async def bound_step(connection: asyncpg.Connection, settings: PartitionSettings) -> None:
    """Bounds for the transaction that has begun: on each wait for a lock, and on holding it."""
    await connection.execute(
        sql.query("bound_step"), f"{settings.lock_timeout_ms}ms", f"{round(settings.step_seconds_max * 1000)}ms"
    )


async def patiently(settings: PartitionSettings, doing: str, work: Callable[[], Awaitable[T]]) -> T:
    """Try work again while it does not get its locks. Raises the last refusal when the attempts are used up."""
    attempts = stamina.retry_context(
        on=LOCKED,
        attempts=settings.lock_attempts,
        timeout=None,
        wait_initial=_PAUSE_SECONDS,
        wait_exp_base=1,
        wait_jitter=_JITTER_SECONDS,
    ).with_name(doing, (), {})
    async for attempt in attempts:
        with attempt:
            return await work()
    raise AssertionError("the last attempt returns or raises")
