"""How the repositories ask: typed arguments in, rows out, each read told where its rows are expected."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from pipeline.errors import ReadRefused
from pipeline.storage.intent import Intent
from pipeline.storage.partitions import RoutingLog
from pipeline.storage.readers import Readers, Work
from pipeline.storage.values import Page

_INT64_MAX: Final = 2**63 - 1
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")
T = TypeVar("T")
Rows = Sequence[Any]  # of asyncpg, which knows no types: what becomes of them is typed


class Reads:
    """Statements of one read each, over whichever readers the process has."""

    def __init__(self, readers: Readers, routing: RoutingLog | None = None) -> None:
        self._readers = readers
        self._routing = routing or RoutingLog()

    async def rows(
        self, org_id: int, intent: Intent, statement: str, expected: Sequence[str], *arguments: object
    ) -> Rows:
        """The rows of a statement whose first parameter is the organisation.

        Raises ReadRefused for a number that no identifier can be, DatabaseUnavailable.
        """

        async def work(connection: asyncpg.Connection) -> Rows:
            return await self.fetch(connection, statement, expected, org_id, *arguments)

        return await self.together(org_id, intent, work)

    async def together(self, org_id: int, intent: Intent, work: Work[T]) -> T:
        """Several statements on one server: what a later one sees is never older than what an earlier one saw."""
        _check_identifiers(org_id)
        return await self._readers.read(org_id, intent, work)

    async def primary_row(self, statement: str, expected: Sequence[str], org_id: int, *arguments: object) -> Any:
        """The one row of a statement that is a read of the primary by itself (`Readers.primary_row`).

        Raises ReadRefused for a number that no identifier can be, DatabaseUnavailable.
        """
        _check_identifiers(org_id, *arguments)
        self._routing.tell(org_id, statement, expected)
        return await self._readers.primary_row(statement, org_id, *arguments)

    async def fetch(
        self, connection: asyncpg.Connection, statement: str, expected: Sequence[str], org_id: int, *arguments: object
    ) -> Rows:
        """As `rows`, within the work of `together`."""
        _check_identifiers(*arguments)
        self._routing.tell(org_id, statement, expected)
        return await connection.fetch(statement, org_id, *arguments)


def _check_identifiers(*values: object) -> None:
    for value in values:
        if isinstance(value, int) and not 0 <= value <= _INT64_MAX:
            raise ReadRefused(f"{value} is no identifier: 1 to 2^63 - 1 are accepted")


def page(items: Sequence[ItemT], limit: int, key_of: Callable[[ItemT], KeyT]) -> Page[ItemT, KeyT]:
    """The first `limit` of items of which one more was asked for: whether it came tells whether there is more."""
    shown = tuple(items[:limit])
    return Page(shown, key_of(shown[-1]) if len(items) > limit else None)
