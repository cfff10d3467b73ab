"""Reading links, events and corrections as of one instant, in the order of the chain, in bounded memory."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import asyncpg

import sql
from pipeline.settings import DatabaseSettings
from pipeline.storage.connect import connect, quoted
from pipeline.tamper.judging import Row, StoredLink
from pipeline.translate import database_errors
from schemas.chain import LinkId
from schemas.instants import Instant

# One round trip for so many rows: enough to hide the trip, and two megabytes at most with ordinary records.
_ROWS_OF_FETCH: Final = 2_000
# Every lane has its own cursor, open all the time: 64 lanes keep 13,000 links in hand, some six megabytes.
_LINKS_OF_FETCH: Final = 200
# Sorted within work_mem, with records of some kilobytes. Pages that two windows share are read twice, so not fewer.
_ROWS_OF_WINDOW: Final = 50_000
# A whole store is read to its end; it takes as long as it takes. Each window by events_recorded, whatever statistics
# say: read from end to end for every window, a large store would never be through.
SESSION: Final = (
    "SET LOCAL work_mem = '256MB'; SET LOCAL cursor_tuple_fraction = 1; SET LOCAL statement_timeout = 0; "
    "SET LOCAL transaction_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL jit = off; "
    "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_custom_plan"
)
LONG_AGO: Final[Instant] = -(1 << 63)  # PostgreSQL's own -infinity
FOR_EVER: Final[Instant] = (1 << 63) - 1  # and its infinity


class ChainLane(NamedTuple):
    """Where a lane's chain stands."""

    lane: int
    chain_seq: int
    chain_head: bytes
    untold: bool
    cluster_epoch: str


@cache
def statement(name: str) -> str:
    """A statement of this package."""
    return (files(__package__) / f"{name}.sql").read_text(encoding="utf-8")


class Store:
    """The tables as of the instant of the snapshot."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def lanes(self, lane: int | None) -> list[ChainLane]:
        """All lanes, or the one."""
        return [ChainLane(*row) for row in await self._connection.fetch(statement("lanes"), lane)]

    async def months(self) -> frozenset[str]:
        """YYYY_MM of each month that was taken out of the store."""
        return frozenset(row["month"] for row in await self._connection.fetch(statement("months")))

    async def since(self, lane: int, seq: int) -> Instant:
        """When the link before `seq` ended."""
        found: Instant | None = await self._connection.fetchval(statement("since"), lane, seq)
        return LONG_AGO if found is None else found

    async def links(self, lane: int, since_seq: int) -> AsyncIterator[StoredLink]:
        """The links of a lane by number."""
        async for row in self._rows("links", _LINKS_OF_FETCH, lane, since_seq):
            yield StoredLink(LinkId(*row[:7]), *row[7:])

    async def windows(self, lane: int | None, since_seq: int) -> list[Instant]:
        """The last instant of each window, rising; the last one has no end: rows without a link are in it, too."""
        rows = await self._connection.fetch(statement("windows"), lane, since_seq, _ROWS_OF_WINDOW)
        return [*(row["until"] for row in rows[:-1]), FOR_EVER]

    def events(self, lane: int | None, after: Instant, until: Instant) -> AsyncIterator[Row]:
        """EVENT_COLUMNS of what was recorded later than `after`, not later than `until`, by lane and instant."""
        return self._rows("events", _ROWS_OF_FETCH, lane, after, until)

    def corrections(self, lane: int | None, after: Instant, windows: Sequence[Instant]) -> AsyncIterator[Row]:
        """CORRECTION_COLUMNS of what was recorded later than `after`, by window, lane and instant."""
        return self._rows("corrections", _ROWS_OF_FETCH, lane, after, windows)

    async def _rows(self, name: str, rows_of_fetch: int, *arguments: object) -> AsyncIterator[Any]:
        cursor = await self._connection.cursor(statement(name), *arguments)
        while rows := await cursor.fetch(rows_of_fetch):
            for row in rows:
                yield tuple(row)


@asynccontextmanager
async def snapshot(url: str, settings: DatabaseSettings) -> AsyncIterator[Store]:
    """Raises DatabaseUnavailable, and SchemaMismatch where our tables are not there."""
    with database_errors("verifying the chain"):
        connection = await connect(url, settings, "folio verify-chain")
        try:
            # Instants as numbers, as the writer sends them (pipeline.storage.connect).
            await connection.set_builtin_type_codec(
                "timestamptz", schema="pg_catalog", codec_name="int8", format="binary"
            )
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(SESSION)
                await _see_every_org(connection)
                yield Store(connection)
        finally:
            await connection.close()


async def _see_every_org(connection: asyncpg.Connection) -> None:
    """Row security hides rows from a role without a policy, and hidden rows would look like removed ones."""
    role = await connection.fetchval(sql.query("reader_role"))
    if role is None:
        await connection.execute("SET LOCAL row_security = off")  # an error then, rather than a lie
    else:
        await connection.execute(f"SET LOCAL ROLE {quoted(role)}")
