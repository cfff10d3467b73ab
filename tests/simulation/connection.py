"""The connection of asyncpg, as far as a worker uses it, against the database in memory.

Statements are known by their text: those of sql/queries and of pipeline/oracle, each written again in
`statements`. One that is not known there is a failure of the simulation, not of the worker.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

from asyncpg import exceptions as pg

import sql
from schemas.instants import moment_of
from tests.simulation.database import Bounds, Database, Row, Session
from tests.simulation.process import Process
from tests.simulation.statements import HANDLERS, STAGED, Handler, Moment

T = TypeVar("T")


class Record(tuple[Any, ...]):
    """A row of a result: by place, and by name."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: tuple[str, ...], values: Iterable[Any]) -> "Record":
        record = cls(values)
        record.names = names
        return record

    def keys(self) -> Iterator[str]:
        return iter(self.names)

    @overload  # type: ignore[override]  # asyncpg's own record does this too
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | int | slice) -> Any:
        return tuple.__getitem__(self, self.names.index(key) if isinstance(key, str) else key)


class SimulatedConnection:
    """The client's side. `instants_are_numbers`: as on a writer's connection, else they are datetimes."""

    def __init__(self, process: Process, session: Session, *, instants_are_numbers: bool) -> None:
        self._process = process
        self._session = session
        self._database = session.database
        self._moment: Moment = _as_it_is if instants_are_numbers else _as_datetime
        self._staged: dict[str, list[Row]] = {}
        self._closed = False

    # --- what asyncpg offers ---

    async def execute(self, statement: str, *arguments: Any) -> str:
        if statement.startswith("BEGIN"):
            return await self._ask("begin", self._begin)
        if statement == "COMMIT":
            return await self._ask("commit", self._commit)
        await self._in_turn([HANDLERS[each] for each in statement.split(sql.SEPARATOR)], arguments)
        return ""

    async def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        handler, given = HANDLERS[statement], list(rows)

        async def all_of_them() -> None:
            for arguments in given:
                await self._handled(handler, arguments)

        await self._ask(handler.name, all_of_them)

    async def fetch(self, statement: str, *arguments: Any) -> list[Record]:
        return await self._run(HANDLERS[statement], arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Record | None:
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        row = await self.fetchrow(statement, *arguments)
        return row[0] if row is not None else None

    async def copy_records_to_table(self, table: str, *, records: Iterable[Sequence[Any]]) -> None:
        columns, given = STAGED[table], list(records)

        async def copy() -> None:
            self._require_transaction()
            rows = [dict(zip(columns, values, strict=True)) for values in given]
            self._staged.setdefault(table, []).extend(rows)

        await self._ask(f"copy {table}", copy)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.terminate()
            raise
        await self.execute("COMMIT")

    async def cursor(self, statement: str) -> "_Cursor":
        return _Cursor(await self.fetch(statement))

    async def close(self, **_timeout: float) -> None:
        self.terminate()

    def terminate(self) -> None:
        self._closed = True
        if self._session.leave in self._process.on_death:
            self._process.on_death.remove(self._session.leave)
        if not self._process.dead:
            self._session.leave()

    def is_closed(self) -> bool:
        return self._closed or self._session.ended

    # --- on the way to the server ---

    async def _run(self, handler: Handler, arguments: Sequence[Any]) -> list[Record]:
        async def act() -> list[Record]:
            return await self._handled(handler, arguments)

        return await self._ask(handler.name, act)

    async def _in_turn(self, handlers: Sequence[Handler], arguments: Sequence[Any]) -> None:
        """One message: nothing comes between its statements."""

        async def act() -> None:
            for handler in handlers:
                await self._handled(handler, arguments)

        await self._ask(handlers[0].name, act)

    async def _ask(self, name: str, act: Callable[[], Awaitable[T]]) -> T:
        if self._closed:
            raise pg.InterfaceError("connection is closed")
        self._session.expect()
        return await self._process.call(self._database, name, lambda: self._served(name, act))

    async def _served(self, name: str, act: Callable[[], Awaitable[T]]) -> T:
        """On the server: one statement, unless the session is over."""
        session = self._session
        session.statement_begins()
        try:
            if session.ended:
                raise session.timed_out or self._database.lost()
            if session.failed and name != "commit":
                raise pg.InFailedSQLTransactionError("current transaction is aborted")
            self._database.strike(name)
            answer = await act()
        except pg.PostgresError:
            session.abort()
            raise
        finally:
            session.statement_over()
        if session.ended:
            raise session.timed_out or self._database.lost()
        return answer

    async def _begin(self) -> str:
        self._staged = {}
        self._session.begin()
        return "BEGIN"

    async def _commit(self) -> str:
        return self._session.commit()

    async def _handled(self, handler: Handler, arguments: Sequence[Any]) -> list[Record]:
        """Within the transaction that is open, else in one of its own."""
        transaction = self._session.transaction
        if transaction is not None:
            rows = await handler.run(transaction, self._staged, self._moment, *arguments)
        else:
            self._staged = {}
            self._session.begin()
            transaction = self._session.transaction
            assert transaction is not None
            try:
                rows = await handler.run(transaction, self._staged, self._moment, *arguments)
            except BaseException:
                self._session.roll_back()
                raise
            self._session.commit()
        return [Record.of(handler.columns, values) for values in rows]

    def _require_transaction(self) -> None:
        assert self._session.transaction is not None, "what is staged outside of a transaction is gone at once"


class _Cursor:
    """Hands rows out some at a time."""

    def __init__(self, rows: list[Record]) -> None:
        self._rows = rows

    async def fetch(self, most: int) -> list[Record]:
        some, self._rows = self._rows[:most], self._rows[most:]
        return some


def _as_it_is(instant: int | None) -> Any:
    return instant


def _as_datetime(instant: int | None) -> Any:
    return moment_of(instant) if instant is not None else None


async def connect(database: Database, process: Process, bounds: Bounds, *, writer: bool) -> SimulatedConnection:
    """A connection of a process. Raises what asyncpg raises where there is none to be had."""
    opened: list[Session] = []

    async def open_session() -> Session:
        session = database.open_session(bounds)
        opened.append(session)
        process.on_death.append(session.leave)
        if process.dead:
            session.leave()
        return session

    try:
        session = await process.call(database, "connect", open_session)
    except BaseException:
        for unheard_of in opened:  # a client that gives up closes its socket, and the server sees that
            unheard_of.leave()
        raise
    return SimulatedConnection(process, session, instants_are_numbers=writer)
