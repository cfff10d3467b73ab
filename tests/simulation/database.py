"""PostgreSQL in memory, as far as a worker's transactions need it: read committed, row locks, unique keys, failover.

A statement sees what is committed, and what its own transaction wrote. Every write locks its row until
the transaction ends; who wants the row waits, and reads it anew. Tables are dictionaries from key to row; a row is a
dictionary from column to value; instants are numbers (schemas.instants).
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from asyncpg import exceptions as pg

from tests.simulation.process import Outages

Key = tuple[Any, ...]
Row = dict[str, Any]
Place = tuple[str, Key]  # table and key

# How the names of statements begin that need room on the disk.
_WRITING: Final = (
    "copy",
    "append",
    "upsert",
    "advance",
    "claim",
    "ensure",
    "record_rules",
    "register",
    "stamp",
    "mark",
)
_COMMITS_KEPT: Final = 50  # how far back a failover may go
_SYSTEM: Final = "7000000000000000001"


class Locks:
    """Who holds a row, and who waits for it, in the order in which they came."""

    def __init__(self) -> None:
        self._holders: dict[Place, Transaction] = {}
        self._waiting: defaultdict[Place, deque[asyncio.Future[None]]] = defaultdict(deque)

    async def take(self, place: Place, transaction: "Transaction", seconds: float) -> None:
        """Wait for the row. Raises LockNotAvailableError after `seconds`."""
        while (holder := self._holders.get(place)) is not None and holder is not transaction:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[place].append(turn)
            try:
                async with asyncio.timeout(seconds):
                    await turn
            except TimeoutError as error:
                raise pg.LockNotAvailableError("canceling statement due to lock timeout") from error
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # it was given the row just then: the next one has it
                    self._next(place)
                raise
            finally:
                if not turn.done():
                    self._waiting[place].remove(turn)
            if transaction.over:  # its session was ended while it waited: the turn is the next one's
                self._next(place)
                raise asyncpg.ConnectionDoesNotExistError("the session has ended")
        self._holders[place] = transaction

    def release(self, transaction: "Transaction") -> None:
        transaction.over = True
        for place in transaction.locked:
            if self._holders.get(place) is transaction:
                del self._holders[place]
                self._next(place)

    def _next(self, place: Place) -> None:
        waiting = self._waiting.get(place)
        while waiting and place not in self._holders:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the server lets a session wait, in seconds: as `pipeline.storage.connect` asks for it."""

    lock: float
    idle_in_transaction: float
    transaction: float


class Transaction:
    """What one transaction has written and not committed."""

    def __init__(self, database: "Database", lock_seconds: float) -> None:
        self.database = database
        self.locked: dict[Place, None] = {}
        self.written: dict[Place, Row | None] = {}  # None: deleted
        self.over = False
        self._lock_seconds = lock_seconds

    def get(self, table: str, key: Key) -> Row | None:
        """The row as this transaction sees it."""
        place = (table, key)
        if place in self.written:
            return self.written[place]
        return self.database.tables[table].get(key)

    def rows(self, table: str) -> Iterator[tuple[Key, Row]]:
        """Every row of the table as this transaction sees it, in no order."""
        mine = {key: row for (name, key), row in self.written.items() if name == table}
        for key, row in self.database.tables[table].items():
            if key not in mine:
                yield key, row
        for key, own in mine.items():
            if own is not None:
                yield key, own

    async def lock(self, table: str, key: Key) -> Row | None:
        """Wait until no other transaction holds the row; returns it as it then is."""
        place = (table, key)
        if place not in self.locked:
            await self.database.locks.take(place, self, self._lock_seconds)
            self.locked[place] = None
        return self.get(table, key)

    async def insert(self, table: str, key: Key, row: Row) -> None:
        """Raises UniqueViolationError where there is such a row."""
        if await self.lock(table, key) is not None:
            raise pg.UniqueViolationError(f"duplicate key value violates unique constraint of {table}: {key}")
        self.written[table, key] = row

    async def put(self, table: str, key: Key, row: Row) -> None:
        """Insert, or replace."""
        await self.lock(table, key)
        self.written[table, key] = row

    async def update(self, table: str, key: Key, changes: Mapping[str, Any]) -> None:
        """Change some columns of a row that is there."""
        row = await self.lock(table, key)
        if row is not None:
            self.written[table, key] = {**row, **changes}

    async def delete(self, table: str, key: Key) -> None:
        if await self.lock(table, key) is not None:
            self.written[table, key] = None


class Database(Outages):
    """Everything that is committed; and whether it can be reached."""

    def __init__(self, loop: asyncio.AbstractEventLoop, system_identifier: str = _SYSTEM) -> None:
        super().__init__()
        self.loop = loop
        self._system_identifier = system_identifier
        self.tables: defaultdict[str, dict[Key, Row]] = defaultdict(dict)
        self.locks = Locks()
        self.timeline = 1
        self.stalled_until = 0.0
        self.commits = 0
        self.errors: deque[pg.PostgresError] = deque()  # of the next statements
        self.refused_writes = 0
        self._undo: deque[dict[Place, Row | None]] = deque(maxlen=_COMMITS_KEPT)
        self.sessions: dict[int, Session] = {}
        self._numbers = 0

    @property
    def epoch(self) -> str:
        """(system identifier, timeline), as the query `cluster_epoch` tells it."""
        return f"{self._system_identifier}-{self.timeline}"

    def commit(self, transaction: Transaction) -> None:
        """All at once, and durable."""
        before: dict[Place, Row | None] = {}
        for place, row in transaction.written.items():
            table, key = place
            before[place] = self.tables[table].get(key)
            if row is None:
                self.tables[table].pop(key, None)
            else:
                self.tables[table][key] = row
        if before:
            self._undo.append(before)
            self.commits += 1
        self.locks.release(transaction)

    def fail_over(self, commits_lost: int) -> int:
        """A standby takes over that has not had the last commits; returns how many were lost."""
        self.break_sessions()
        self.timeline += 1
        lost = 0
        while lost < commits_lost and self._undo:
            for (table, key), row in self._undo.pop().items():
                if row is None:
                    self.tables[table].pop(key, None)
                else:
                    self.tables[table][key] = row
            lost += 1
        return lost

    def break_sessions(self) -> None:
        """The server has died, or cuts everybody off: open transactions are rolled back."""
        for session in list(self.sessions.values()):
            session.end()

    def open_session(self, bounds: Bounds) -> "Session":
        self._numbers += 1
        return Session(self, self._numbers, bounds)

    def strike(self, name: str) -> None:
        """Raise what was planned for the next statement of a transaction; or that there is no room to write."""
        if self.suffers("full") and name.startswith(_WRITING):
            self.refused_writes += 1
            raise pg.DiskFullError("could not extend file: No space left on device")
        if self.errors and name not in ("begin", "connect"):
            raise self.errors.popleft()

    def lost(self) -> Exception:
        return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    def refuses(self, name: str) -> Exception | None:
        if self.suffers("down"):
            return ConnectionRefusedError("connection refused") if name == "connect" else self.lost()
        if self.suffers("connections_refused") and name == "connect":
            return pg.TooManyConnectionsError("sorry, too many clients already")
        return None


class Session:
    """The server's side of a connection: at most one transaction, and one statement at a time."""

    def __init__(self, database: Database, number: int, bounds: Bounds) -> None:
        self.database = database
        self.transaction: Transaction | None = None
        self.failed = False  # the transaction takes no more statements
        self.ended = False
        self.timed_out: pg.PostgresError | None = None  # why it was ended, where a bound was
        self._expected = 0  # statements that were sent and not served
        self._number = number
        self._bounds = bounds
        self._left = False
        self._idle: asyncio.TimerHandle | None = None
        self._whole: asyncio.TimerHandle | None = None
        database.sessions[number] = self

    def begin(self) -> None:
        self.failed = False
        self.transaction = Transaction(self.database, self._bounds.lock)
        late = pg.TransactionTimeoutError("terminating connection due to transaction timeout")
        self._whole = self.database.loop.call_later(self._bounds.transaction, self._time_out, late)

    def commit(self) -> str:
        """The command tag that the server answers."""
        transaction, self.transaction = self.transaction, None
        if transaction is None or self.failed:
            self._roll_back(transaction)
            return "ROLLBACK"
        self.database.commit(transaction)
        _cancel(self._whole)
        return "COMMIT"

    def roll_back(self) -> None:
        transaction, self.transaction = self.transaction, None
        self._roll_back(transaction)

    def abort(self) -> None:
        """The statement has failed: so has its transaction, whose locks are kept until the client lets it go."""
        self.failed = True

    def expect(self) -> None:
        """The client has sent a statement: it is on its way."""
        self._expected += 1

    def leave(self) -> None:
        """The client is gone.

        What it had sent is still done, a COMMIT too. What was lost on the way the server waits for, as it does for a
        client behind a link that is half open: until a bound ends the session, with the locks that it holds.
        """
        self._left = True
        if not self._expected:
            self.end()
        else:
            self.database.loop.call_later(self._bounds.idle_in_transaction, self.end)

    def statement_begins(self) -> None:
        _cancel(self._idle)

    def statement_over(self) -> None:
        self._expected -= 1
        if self._left and not self._expected:
            self.end()
        elif self.transaction is not None:
            idle = pg.IdleInTransactionSessionTimeoutError("terminating connection due to idle-in-transaction timeout")
            self._idle = self.database.loop.call_later(self._bounds.idle_in_transaction, self._time_out, idle)

    def _time_out(self, error: pg.PostgresError) -> None:
        if self.transaction is not None and not self.ended:
            self.timed_out = error
            self.end()

    def end(self) -> None:
        """Nothing more is heard by this connection."""
        self.ended = True
        self.roll_back()
        self.database.sessions.pop(self._number, None)

    def _roll_back(self, transaction: Transaction | None) -> None:
        _cancel(self._idle)
        _cancel(self._whole)
        if transaction is not None:
            self.database.locks.release(transaction)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
