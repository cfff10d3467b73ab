"""Reading PostgreSQL: every table as of one instant, on one connection, without holding a table in memory."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg

from pipeline.errors import DatabaseUnavailable, SchemaMismatch
from pipeline.oracle import compare
from pipeline.oracle.books import DATABASE_REJECTED, REGISTER, Ground, PropertyKey, RecordKey, Zone
from pipeline.oracle.commits import Commits
from pipeline.oracle.pauses import Pauses, Stretch
from pipeline.oracle.records import Rules

# One round trip for so many rows: enough to hide the trip, and a megabyte at most.
_ROWS_OF_FETCH: Final = 2_000
_CONNECT_TIMEOUT_SECONDS: Final = 10

_SESSION: Final = {
    "application_name": "folio verify",
    "TimeZone": "UTC",
    # The snapshot stays open while the topics are read, which takes as long as it takes.
    "idle_in_transaction_session_timeout": "0",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    # Whole tables are read to their end, and two of them are sorted.
    "cursor_tuple_fraction": "1",
    "work_mem": "256MB",
}


class Lane(NamedTuple):
    """A row of `ops.lanes`. A position is None before the first record of its topic."""

    lane: int
    position: int | None  # in finance-events
    corrections_position: int | None
    published_seq: int
    chain_seq: int
    chain_head: bytes
    recorded_until: datetime
    rebuilds: int
    retention_months: int | None  # of transactions, as its owner recorded it
    transactions_since: datetime | None  # older ones may have no row: fewer months were kept before
    counters: compare.LaneCounters


class LaneRules(NamedTuple):
    """By what the records of each lane were judged, in order of the position in either topic from which on."""

    events: Mapping[int, list[Rules]]
    corrections: Mapping[int, list[Rules]]

    @property
    def ask_for_loading(self) -> bool:
        """Whether any of them ever kept out records whose property was not loaded."""
        return any(each.unknown_property != REGISTER for rules in self.events.values() for each in rules)

    @property
    def lane_counts(self) -> set[int]:
        """How many lanes there were, at one time or another."""
        return {each.lane_count for rules in self.events.values() for each in rules}


class DeadLetters(NamedTuple):
    """Lane, offset, reason and digest of each dead letter of either topic, and when it was recorded."""

    events: list[tuple[int, int, str, bytes | None]]
    corrections: list[tuple[int, int, str, bytes | None]]
    events_at: Mapping[RecordKey, datetime]
    corrections_at: Mapping[RecordKey, datetime]


class Properties(NamedTuple):
    """The properties, apart for those that were loaded and those that registered themselves."""

    loaded_currencies: dict[PropertyKey, str]
    opening_cash_cents: dict[PropertyKey, int]  # where it is not zero
    zones: dict[PropertyKey, tuple[Zone, ...]]  # oldest first
    registered: list[tuple[int, int, str, str | None]]  # org, property, currency, first time zone


class ExpiredMonths(NamedTuple):
    """What was taken away because it was too old, each by its month in UTC."""

    transactions: frozenset[compare.Month]
    events: list[date]  # by recorded_at: in archives
    waiting: list[date]  # likewise, beside their table until a run archives and drops them


@cache
def _statement(name: str) -> str:
    return (files(__package__) / f"{name}.sql").read_text(encoding="utf-8")


class Database:
    """The tables as of the instant of the snapshot."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def stream(self, name: str) -> AsyncIterator[Sequence[compare.Row]]:
        """The rows of `<name>.sql`, some thousands at a time."""
        cursor = await self._connection.cursor(_statement(name))
        while rows := await cursor.fetch(_ROWS_OF_FETCH):
            yield cast("list[compare.Row]", rows)  # a Record is a sequence, which its stubs do not say

    async def lanes(self) -> list[Lane]:
        """Every lane, in order."""
        rows = map(tuple, await self._fetch("lanes"))
        return [Lane._make((*row[:10], compare.LaneCounters(*row[10:]))) for row in rows]

    async def commits(self, lanes: Sequence[Lane]) -> Commits:
        """What tells of an update whether its commit is in the snapshot."""
        ((epoch,),) = await self._fetch("epoch")
        return Commits(epoch, {lane.lane: lane.recorded_until for lane in lanes}, sum(lane.rebuilds for lane in lanes))

    async def rules(self) -> LaneRules:
        """The rules of each lane, in order of position."""
        found = LaneRules(defaultdict(list), defaultdict(list))
        for lane, position, corrections_position, *rules in await self._fetch("lane_rules"):
            found.events[lane].append(Rules(position, *rules))
            found.corrections[lane].append(Rules(corrections_position, *rules))
        return found

    async def properties(self) -> Properties:
        """Every property.

        Raises SchemaMismatch for a time zone that this machine does not know.
        """
        found = Properties({}, {}, await self._zones(), [])
        async for rows in self.stream("properties"):
            for org_id, property_id, self_registered, currency, opening_cash_cents in rows:
                if self_registered:
                    zones = found.zones.get((org_id, property_id))
                    first_time_zone = zones[0].zone.key if zones else None
                    found.registered.append((org_id, property_id, currency, first_time_zone))
                else:
                    found.loaded_currencies[org_id, property_id] = currency
                if opening_cash_cents:
                    found.opening_cash_cents[org_id, property_id] = opening_cash_cents
        return found

    async def users_kept_since(self) -> datetime:
        """From when on names were kept: of those that were given before, no row tells."""
        ((since,),) = await self._fetch("users_kept_since")
        return cast("datetime", since)

    async def dead_letters(self, events: str, corrections: str) -> DeadLetters:
        """The dead letters of the two topics, which are called so on this cluster."""
        of_events, of_corrections = [await self._fetch("dead_letters", topic) for topic in (events, corrections)]
        return DeadLetters(
            [tuple(row[:-1]) for row in of_events],
            [tuple(row[:-1]) for row in of_corrections],
            {(row[0], row[1]): row[-1] for row in of_events},
            {(row[0], row[1]): row[-1] for row in of_corrections},
        )

    async def pauses(self) -> tuple[Pauses, Pauses]:
        """Of either topic, which organisations' records were set aside."""
        rows = await self._fetch("org_pauses")
        return (
            Pauses((org_id, lane, Stretch(start, end)) for org_id, lane, start, end, _, _ in rows),
            Pauses((org_id, lane, Stretch(start, end)) for org_id, lane, _, _, start, end in rows),
        )

    async def expired_months(self) -> ExpiredMonths:
        """The months whose rows were taken away."""
        rows = await self._fetch("expired_months")
        kinds = {"finance.revenues_partitioned": "revenue", "finance.expenses_partitioned": "expense"}
        return ExpiredMonths(
            frozenset((kinds[parent], month.year, month.month) for parent, month, _, _ in rows if parent in kinds),
            sorted(
                month for parent, month, restored, waiting in rows if parent not in kinds and not (restored or waiting)
            ),
            sorted(month for parent, month, _, waiting in rows if parent not in kinds and waiting),
        )

    async def known_since(self) -> dict[PropertyKey, datetime]:
        """From when on batches knew each property; those of which it is not noted were known from the beginning."""
        return {(org_id, property_id): since for org_id, property_id, since in await self._fetch("known_since")}

    async def applied_too_early(self) -> list[compare.Row]:
        """Kind, lane, offset, recorded_at and the property's known_since of what was booked before its load."""
        return await self._fetch("applied_too_early")

    async def corrections_order(self) -> list[compare.Row]:
        """Lane, offset, finance position and recorded_at of each applied correction, each lane's in offset order.

        All at once: people make corrections, so there are few.
        """
        return await self._fetch("corrections_order")

    async def chain_links(self) -> list[compare.Row]:
        """The links of every lane, by number. As many as batches: small beside the books that the proof holds."""
        return await self._fetch("chain_links")

    async def chain_corrections(self) -> list[compare.Row]:
        """The corrections with every column, by lane and instant of recording."""
        return await self._fetch("chain_corrections")

    async def recorded_order(self, orgs: frozenset[int]) -> dict[RecordKey, datetime]:
        """When each event of these orgs was recorded."""
        if not orgs:
            return {}
        rows = await self._fetch("recorded_order", list(orgs))
        return {(lane, offset): recorded_at for lane, offset, recorded_at in rows}

    async def outbox(self) -> list[bytes]:
        """The updates that wait to be published: for each batch, one JSON document a line."""
        return [updates for (updates,) in await self._fetch("outbox")]

    async def _zones(self) -> dict[PropertyKey, tuple[Zone, ...]]:
        zones: dict[PropertyKey, tuple[Zone, ...]] = {}
        async for rows in self.stream("time_zones"):
            for org_id, property_id, valid_from, name in rows:
                key = (org_id, property_id)
                zones[key] = zones.get(key, ()) + _zone(valid_from, name)
        return zones

    async def _fetch(self, name: str, *arguments: object) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(_statement(name), *arguments)
        return rows


def ground(
    rules: LaneRules,
    properties: Properties,
    dead_letters: DeadLetters,
    pauses: tuple[Pauses, Pauses],
    known_since: Mapping[PropertyKey, datetime],
) -> Ground:
    """What the fold takes from the database as given."""
    return Ground(
        rules=rules.events,
        loaded_currencies=properties.loaded_currencies,
        zones=properties.zones,
        database_rejected=_rejected(dead_letters.events),
        correction_rules=rules.corrections,
        corrections_rejected=_rejected(dead_letters.corrections),
        pauses=pauses[0],
        correction_pauses=pauses[1],
        known_since=known_since,
        refused_at=dead_letters.events_at if known_since else {},
        corrections_refused_at=dead_letters.corrections_at if known_since else {},
    )


def _rejected(dead_letters: Sequence[tuple[int, int, str, bytes | None]]) -> frozenset[RecordKey]:
    return frozenset((lane, offset) for lane, offset, reason, _ in dead_letters if reason == DATABASE_REJECTED)


@cache  # almost every property is in one of a few zones from the beginning, and may share this
def _zone(valid_from: datetime, name: str) -> tuple[Zone, ...]:
    try:
        return (Zone(valid_from, ZoneInfo(name)),)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SchemaMismatch(f"time zone {name!r} of a property is unknown here; install tzdata") from error


@asynccontextmanager
async def snapshot(database_url: str) -> AsyncIterator[Database]:
    """All tables as of one instant, for reading only.

    Raises DatabaseUnavailable, and SchemaMismatch where our tables are not there.
    """
    try:
        connection = await asyncpg.connect(database_url, timeout=_CONNECT_TIMEOUT_SECONDS, server_settings=_SESSION)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise DatabaseUnavailable(f"cannot connect to the database: {error}") from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await _see_every_org(connection)
            yield Database(connection)
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedColumnError,
        asyncpg.InvalidSchemaNameError,
    ) as error:
        raise SchemaMismatch(f"the database lacks our tables ({error}): run `folio migrate`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseUnavailable(f"the role may not read every table: {error}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(f"the database was lost while reading: {error}") from error
    finally:
        await connection.close()


async def _see_every_org(connection: asyncpg.Connection) -> None:
    """Row security hides rows from a role without a policy, and hidden rows would look like lost ones."""
    role = await connection.fetchval(_statement("reader_role"))
    if role is None:
        await connection.execute("SET LOCAL row_security = off")  # an error then, rather than a lie
    else:
        await connection.execute(f"SET LOCAL ROLE {role}")
