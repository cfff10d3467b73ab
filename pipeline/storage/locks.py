"""Locks that writers notice for a fifth of a second at most: asked for briefly, let go, and asked for again.

Whoever waits for ACCESS EXCLUSIVE has everybody else wait behind him, for as long as some report holds the table.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg
import stamina

import sql
from pipeline.settings import PartitionSettings

T = TypeVar("T")

# What the database says of a lock that was not to be had. Nothing of the transaction is left.
LOCKED: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
# Between two attempts at a lock: by chance, lest we come with every batch of a writer that has a rhythm.
_PAUSE_SECONDS: Final = 0.5
_JITTER_SECONDS: Final = 1.0


def is_locked(error: Exception) -> bool:
    """Whether a lock was not to be had, also where a library has wrapped that."""
    return isinstance(error, LOCKED) or isinstance(error.__cause__, LOCKED)


async def bound_step(connection: asyncpg.Connection, settings: PartitionSettings) -> None:
    """Bounds for the transaction that has begun: on each wait for a lock, and on holding it."""
    await connection.execute(
        sql.query("bound_step"), f"{settings.lock_timeout_ms}ms", f"{round(settings.step_seconds_max * 1000)}ms"
    )


async def patiently(settings: PartitionSettings, doing: str, work: Callable[[], Awaitable[T]]) -> T:
    """Try work again while it does not get its locks. Raises the last refusal when the attempts are used up."""
    attempts = stamina.retry_context(
        on=is_locked,
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


def described(holders: Sequence[asyncpg.Record]) -> str:
    """Whose transactions were in the way, in words."""
    sessions = [f"{row['who']} (pid {row['pid']}, for {row['seconds']:.1f} s)" for row in holders]
    return ", ".join(sessions) or "none that this login sees"
