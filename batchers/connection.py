"""One connection that writes the books: kept over many batches, replaced after any failure.

It leads to the primary that our claims were made on, or to none. A standby that has taken over may lack what was
committed last: batches, marks, even the claims themselves. What we remember of the lanes may then never have happened,
and another worker may be given the very numbers that our claims have. A primary stays on its timeline for as long as
it runs, so it is enough to look once for each connection.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

import sql
from pipeline.errors import DatabaseUnavailable, FenceLost, OutcomeUnknown
from pipeline.translate import database_errors

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Reach = Callable[[str], None]  # told each named point of a batch as it is reached


class WritingConnection:
    """Opens when first needed. Whatever goes wrong inside a transaction costs the connection: PostgreSQL rolls back."""

    def __init__(self, connect: Connect, cluster_epoch: str, reach: Reach) -> None:
        self._connect = connect
        self._cluster_epoch = cluster_epoch
        self._reach = reach
        self._connection: asyncpg.Connection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """BEGIN, the caller's work, COMMIT.

        Raises OutcomeUnknown when COMMIT was sent and its answer was lost, DatabaseUnavailable before that, and
        FenceLost when another primary has taken over.
        """
        try:
            connection = await self._open()
            with database_errors("the transaction was rolled back"):
                await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                yield connection
            self._reach("before_commit")
            await self._commit(connection)
        except BaseException:  # cancellation too: a connection in the middle of a protocol exchange is of no use
            self.discard()
            raise

    async def _commit(self, connection: asyncpg.Connection) -> None:
        try:
            with database_errors("COMMIT"):
                status = await connection.execute("COMMIT")
        except DatabaseUnavailable as error:
            raise OutcomeUnknown(f"COMMIT was sent and its answer was lost: {error}") from error
        if status != "COMMIT":  # PostgreSQL answers ROLLBACK to the COMMIT of a transaction that had failed
            raise DatabaseUnavailable(f"the transaction was rolled back: COMMIT answered {status}")

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            with database_errors("connecting"):
                self._connection = await self._connect()
                now = await self._connection.fetchval(sql.query("cluster_epoch"))
            if now != self._cluster_epoch:
                raise FenceLost(f"the database was taken over: {now} is the primary, not {self._cluster_epoch}")
        return self._connection

    def discard(self) -> None:
        """Drop the connection without waiting for the other side."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
