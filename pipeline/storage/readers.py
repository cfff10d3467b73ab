"""Who answers a read: one organisation's read-only transaction, on a server that its intent allows.

What a read sets ends with its transaction, so that PgBouncer may stand in between.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import asyncpg

import sql
from pipeline.storage.intent import Intent
from pipeline.translate import database_errors

T = TypeVar("T")
Work = Callable[[asyncpg.Connection], Awaitable[T]]

# The slowest read that is promised takes 20 ms: whoever takes a hundred times that is not waited for.
_ACQUIRE_SECONDS: Final = 2.0
_STATEMENT_SECONDS: Final = 5.0


class Readers(Protocol):
    """Runs the work of a read; as it changes nothing, it may be run again elsewhere when a server is lost."""

    async def read(self, org_id: int, intent: Intent, work: Work[T]) -> T:
        """What `work` answers, within one read-only transaction of role folio_reader that sees `org_id` alone.

        Raises DatabaseUnavailable where no server answered.
        """
        ...

    async def primary_row(self, statement: str, *arguments: object) -> asyncpg.Record:
        """The one row of a statement that is a read by itself, in one round trip to the primary.

        It enters its organisation by itself: its last parameters are the role to read as, and the milliseconds that it
        may take. Its first column, `epoch`, is told only by a primary. Raises DatabaseUnavailable.
        """
        ...


class DirectReaders:
    """One server, which must be the primary: it may answer whatever is declared."""

    def __init__(
        self, pool: asyncpg.Pool, *, role: str = "folio_reader", statement_seconds: float = _STATEMENT_SECONDS
    ) -> None:
        self._pool = pool
        self._role = role
        self._statement_ms = str(round(statement_seconds * 1000))

    async def read(self, org_id: int, intent: Intent, work: Work[T]) -> T:  # noqa: ARG002  # one answers all
        with database_errors("reading"):
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as lent, lent.transaction(readonly=True):
                connection: asyncpg.Connection = lent  # type: ignore[assignment]  # it passes everything on to one
                await connection.execute(sql.query("enter_org"), self._role, org_id, self._statement_ms)
                return await work(connection)

    async def primary_row(self, statement: str, *arguments: object) -> asyncpg.Record:
        with database_errors("reading"):
            async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as lent:
                return the_row(await lent.fetchrow(statement, *arguments, self._role, self._statement_ms))


def the_row(found: asyncpg.Record | None) -> asyncpg.Record:
    """Of a statement that always has one."""
    assert found is not None
    return found
