"""Bounded connections to one server, and the transaction of a reader on one of them.

Nothing of a read outlives its transaction (SET LOCAL, no session state), so that PgBouncer may stand in between.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final, cast

import asyncpg

import sql
from pipeline.clock import Clock
from pipeline.errors import PoolExhausted, SettingsRefused
from pipeline.storage.readers import the_row
from pipeline.storage.replicas.choice import Position
from pipeline.storage.replicas.metrics import ReadMetrics

# A connection whose server is gone is not waited for: it is dropped.
_CLOSE_SECONDS: Final = 1.0
# Beyond the server's own bound on a statement: whoever answers this late is stalled.
_STALLED_SECONDS: Final = 1.0
# A read has a few statements; together they may take so many times the bound on one.
_STATEMENTS: Final = 2
# READ COMMITTED, so that a statement's snapshot is younger than the position that was asked before it. A snapshot of
# the whole transaction would be taken first, and could lack what was replayed until the position was told.
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"


# What a server says that goes away, or ends a connection: the pool lends that one no more.
GOING: Final = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.TransactionTimeoutError)

_Lent = asyncpg.pool.PoolConnectionProxy


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """How many connections to one server, how long they live, and what a read on them may take."""

    connections_min: int
    connections_max: int
    idle_seconds: float
    lifetime_seconds: float
    connect_seconds: float
    acquire_seconds: float
    answer_seconds: float
    statement_seconds: float
    statement_cache_size: int
    role: str


class ServerPool:
    """Connections to one server, opened with the first read or by `open`, and given up when the server is."""

    def __init__(self, name: str, url: str, bounds: PoolBounds, clock: Clock, metrics: ReadMetrics) -> None:
        self.name = name
        self.url = url
        self.bounds = bounds
        self._clock = clock
        self._metrics = metrics
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        metrics.pool(name, self.open_connections, self.connections_in_use, bounds.connections_max)

    async def open(self) -> asyncpg.Pool:
        """The pool, with its first connections made. Raises TimeoutError after the bound on waiting for one of them."""
        if self._pool is not None:
            return self._pool
        # The bound is of each caller: behind the first one that waits for a silent server the others would queue up.
        async with asyncio.timeout(self.bounds.acquire_seconds), self._opening:
            if self._pool is None:
                self._pool = await self._made()
            return self._pool

    def give_up(self) -> None:
        """Drop every connection at once, also those in use: whoever reads there hears of it now, not by a timeout."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def close(self) -> None:
        """Let the reads in flight end, for a moment."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await pool.close()
            except TimeoutError:
                pool.terminate()
        if self._ending:
            await asyncio.wait(self._ending)  # each is bounded, and gone when the pool is

    @contextlib.asynccontextmanager
    async def reading(self, org_id: int) -> AsyncIterator[tuple[asyncpg.Connection, Position]]:
        """A read-only transaction that sees one organisation, and where its server stood after it had begun.

        Nobody waits for its end: it has changed nothing, and a round trip is a quarter of a short read.
        """
        pool = await self.open()
        connection = await self._acquired(pool)
        try:
            position = await self._begun(connection, org_id)
            yield cast("asyncpg.Connection", connection), position  # it passes everything on to one
        except (OSError, TimeoutError):  # one that did not answer is not asked once more
            _drop(connection)
            raise
        except Exception:
            await self._give_back(pool, connection, "ROLLBACK")
            raise
        except BaseException:  # cancelled: nobody waits to hear in which state it is
            _drop(connection)
            raise
        ending = asyncio.create_task(self._give_back(pool, connection, "COMMIT"))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def row(self, statement: str, *arguments: object) -> asyncpg.Record:
        """The one row of a statement that is a transaction by itself (`Readers.primary_row`).

        It looks for a few rows by their keys: who needs longer than an answer may take is stalled. The server ends it
        by then. Whoever has given up before leaves a server that works on for so long, and no longer: a connection that
        is dropped takes the request to cancel with it.
        """
        pool = await self.open()
        connection = await self._acquired(pool)
        try:
            milliseconds = str(round(self.bounds.answer_seconds * 1_000))
            with self._role_refused():
                async with asyncio.timeout(self.bounds.answer_seconds + _STALLED_SECONDS):
                    asked = connection.fetchrow(statement, *arguments, self.bounds.role, milliseconds)
                    found = the_row(await asked)
        except GOING:
            _drop(connection)
            raise
        except asyncpg.PostgresError:  # an answer, and nothing is left open
            await self._released(pool, connection)
            raise
        except BaseException:  # none, or cancelled: nobody waits to hear in which state it is
            _drop(connection)
            raise
        await self._released(pool, connection)
        return found

    async def _begun(self, connection: _Lent, org_id: int) -> Position:
        milliseconds = round(self.bounds.statement_seconds * 1_000)
        session = (str(milliseconds), str(_STATEMENTS * milliseconds), self.bounds.role)
        with self._role_refused():
            async with asyncio.timeout(self.bounds.answer_seconds):
                await connection.execute(_BEGIN)
                row = the_row(await connection.fetchrow(sql.query("begin_reading"), org_id, *session))
        return Position(row["epoch"], row["in_recovery"], row["lsn"])

    @contextlib.contextmanager
    def _role_refused(self) -> Iterator[None]:
        """Raises SettingsRefused for a role that there is none of, or that the login may not take."""
        try:
            yield
        except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
            raise SettingsRefused(
                f"FOLIO_POOL_ROLE={self.bounds.role!r} on {self.name}: {error}; "
                "name a role that the login is a member of, and has the rights of (INHERIT)"
            ) from error

    async def _acquired(self, pool: asyncpg.Pool) -> _Lent:
        began = self._clock.monotonic()
        with self._metrics.waiting.labels(self.name).track_inprogress():
            try:
                connection = await pool.acquire(timeout=self.bounds.acquire_seconds)
            except TimeoutError as error:
                if pool.get_idle_size() or pool.get_size() < pool.get_max_size():
                    raise  # it was connecting
                raise PoolExhausted(
                    f"{self.name}: each of {pool.get_max_size()} connections was in use for "
                    f"{self.bounds.acquire_seconds:g} s"
                ) from error
        self._metrics.acquire_seconds.labels(self.name).observe(self._clock.monotonic() - began)
        return connection

    async def _give_back(self, pool: asyncpg.Pool, connection: _Lent, ending: str) -> None:
        """End the transaction; a connection on which that failed is not used again."""
        over = False
        try:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.execute(ending, timeout=self.bounds.answer_seconds)
                over = True
        finally:
            if not over:
                _drop(connection)
        if over:
            await self._released(pool, connection)

    async def _released(self, pool: asyncpg.Pool, connection: _Lent) -> None:
        # The library bounds how long a connection idles, not how long it lives.
        if self._clock.monotonic() >= cast("_Retiring", connection).retire_at:
            _drop(connection)
        else:
            with contextlib.suppress(asyncpg.InterfaceError):  # the pool was given up meanwhile, and it with it
                await pool.release(connection, timeout=_CLOSE_SECONDS)

    async def _made(self) -> asyncpg.Pool:
        bounds = self.bounds
        return await asyncpg.create_pool(
            self.url,
            min_size=0,
            init_size=bounds.connections_min,
            max_size=bounds.connections_max,
            max_inactive_connection_lifetime=bounds.idle_seconds,
            connection_class=_Retiring,
            init=self._aged,
            reset=_nothing,
            timeout=bounds.connect_seconds,
            command_timeout=bounds.statement_seconds + _STALLED_SECONDS,
            statement_cache_size=bounds.statement_cache_size,
            server_settings={"application_name": "folio reader"},
        )

    async def _aged(self, connection: asyncpg.Connection) -> None:
        assert isinstance(connection, _Retiring)
        # Those that were opened together do not all end together.
        lifetime_seconds = self.bounds.lifetime_seconds * random.uniform(0.9, 1)  # noqa: S311  # no secret
        connection.retire_at = self._clock.monotonic() + lifetime_seconds

    def open_connections(self) -> int:
        """How many there are now."""
        return self._pool.get_size() if self._pool is not None else 0

    def connections_in_use(self) -> int:
        """How many of them a read has."""
        return self._pool.get_size() - self._pool.get_idle_size() if self._pool is not None else 0


class _Retiring(asyncpg.Connection):
    """A connection that knows when it has lived long enough (monotonic seconds)."""

    __slots__ = ("retire_at",)
    retire_at: float


def _drop(connection: _Lent) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool was given up meanwhile, and it with it
        connection.terminate()


async def _nothing(_: asyncpg.Connection) -> None:
    """A transaction that is over leaves nothing to reset, and a round trip a read is saved."""
