"""Which functions of the product make which stage, and what each statement costs the database.

The product runs as it is: its functions are wrapped in the measuring process alone. A function that nobody named here
is charged to the stage that calls it; a name that is gone is told by the tests.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, Final
from unittest.mock import patch

import asyncpg

import sql
from bench.limiting.clocks import StageClock, cpu_seconds

FETCH: Final = "fetch"
DECODE: Final = "decode (judge)"
PUBLISH: Final = "publish"
INVALIDATE: Final = "invalidate"
ENCODE: Final = "encode COPY"
COMMIT: Final = "commit"
CHAIN: Final = "chain"
TRANSACTION: Final = "transaction, the rest"

# Stage to its functions, each as module and name in it, from where the product calls it.
FETCHING: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {DECODE: (("consumers.fetching", "decode"),)}
BOOKS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "fence": (
        ("batchers.books", "lanes_to_lock"),
        ("batchers.books", "lock_lanes"),
        ("batchers.books", "check_fence"),
    ),
    "known (reading)": (("batchers.books", "Books._known"),),
    "decide": (("batchers.books", "decide"),),
    "register properties": (("batchers.books", "register_properties"),),
    "event rows": (("batchers.books", "EventRows.build"),),
    "write events": (("batchers.books", "write_events"),),
    "coalesce, carry": (("batchers.books", "_change"),),
    "read balances": (("batchers.books", "read_balances"),),
    "balance rows": (("batchers.books", "write_balances"),),
    "encode updates": (("batchers.books", "outbox_rows"),),
    "outbox": (("batchers.books", "append_outbox"),),
    CHAIN: (("batchers.books", "links_of"), ("batchers.books", "append_links")),
    "lanes": (("batchers.books", "advance_lanes"),),
    "marks": (("batchers.books", "_save_marks"),),
}


@contextmanager
def metered(clock: StageClock, stages: Mapping[str, tuple[tuple[str, str], ...]]) -> Iterator[None]:
    """The product's functions charge their stages for as long as the block lasts."""
    with ExitStack() as patches:
        for stage, functions in stages.items():
            for module, name in functions:
                owner, function = find(module, name)
                wrapped = _charging(clock, stage, function)
                patches.enter_context(patch.object(owner, function.__name__, wrapped))
        yield


def find(module: str, name: str) -> tuple[object, Callable[..., Any]]:
    """The object that holds a function of the product, and the function. Raises AttributeError."""
    owner: object = import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    return owner, getattr(owner, last)


def _charging(clock: StageClock, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def charged_later(*arguments: Any, **named: Any) -> Any:
            with clock.stage(stage):
                return await function(*arguments, **named)

        return charged_later

    @wraps(function)
    def charged(*arguments: Any, **named: Any) -> Any:
        with clock.stage(stage):
            return function(*arguments, **named)

    return charged


class MeteredConnection:
    """A writer's connection that knows what each of its statements cost its backend.

    The backend's own CPU clock is read before and after each statement: what extensions count is time, with waiting.
    """

    def __init__(self, connection: asyncpg.Connection, clock: StageClock, spent: dict[str, float]) -> None:
        self._connection = connection
        self._clock = clock
        self._spent = spent
        self._backend = connection.get_server_pid()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *arguments: Any, **named: Any) -> Any:
        if query == "COMMIT":
            with self._clock.stage(COMMIT):
                return await self._timed(query, self._connection.execute(query, *arguments, **named))
        result = ""
        # What goes as one message goes as several here, or nobody could tell what each of its statements costs.
        for each in query.split(sql.SEPARATOR):
            result = await self._timed(each, self._connection.execute(each, *arguments, **named))
        return result

    async def executemany(self, query: str, *arguments: Any, **named: Any) -> Any:
        return await self._timed(query, self._connection.executemany(query, *arguments, **named))

    async def fetch(self, query: str, *arguments: Any, **named: Any) -> Any:
        return await self._timed(query, self._connection.fetch(query, *arguments, **named))

    async def fetchrow(self, query: str, *arguments: Any, **named: Any) -> Any:
        return await self._timed(query, self._connection.fetchrow(query, *arguments, **named))

    async def fetchval(self, query: str, *arguments: Any, **named: Any) -> Any:
        return await self._timed(query, self._connection.fetchval(query, *arguments, **named))

    async def copy_records_to_table(self, table_name: str, **named: Any) -> Any:
        with self._clock.stage(ENCODE):
            return await self._timed(f"COPY {table_name}", self._connection.copy_records_to_table(table_name, **named))

    async def _timed(self, query: str, running: Any) -> Any:
        before = cpu_seconds(self._backend)
        result = await running
        name = statement_name(query)
        self._spent[name] = self._spent.get(name, 0.0) + cpu_seconds(self._backend) - before
        return result


def statement_name(query: str) -> str:
    """The name that a file of sql/queries gives itself in its first line; of other statements their first word."""
    if query.startswith("COPY "):
        return query
    first = query.lstrip().split("\n", 1)[0]
    return first[3:].partition(":")[0].strip() if first.startswith("-- ") else first.split()[0]
