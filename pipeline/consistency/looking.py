"""One look at one scope, in one snapshot of the database: sets find what is suspect, the store says what is right.

Each row is judged by what is right, not by what stands beside it: a wrong snapshot does not put its balance in the
wrong, nor a wrong day the days after it. So what is found are the rows that somebody must mend, and no others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg

import sql
from batchers.reading import columns
from pipeline.consistency.drifts import Drift, balance_drift, transaction_drifts, unreadable_event
from pipeline.consistency.scope import Scope
from pipeline.consistency.sieve import suspect_orgs
from pipeline.errors import StoreDamaged
from pipeline.rebuild.looking import Wanted, Wrong, judge_page
from pipeline.rebuild.months import with_months_held
from pipeline.rebuild.paging import key_of
from schemas.records import AggregateKey

# Stored events are fetched with their bytes, about 1.5 KB each here.
_KEYS_A_FETCH: Final = 5_000
_NO_OVERLAY: Final[tuple[list[Any], ...]] = ([],) * 9


@dataclass(slots=True)
class Found:
    """What a look has found."""

    transactions: int = 0
    drifts: list[Drift] = field(default_factory=list)
    whole: bool = True  # False: there may be more than was asked for


async def look(connection: asyncpg.Connection, scope: Scope, wanted: Wanted, drifts_max: int) -> Found:
    """Hold a scope against itself. Beside live writers too: each batch is one transaction, and so is this look."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        wanted = await with_months_held(connection, wanted)
        transactions = await connection.fetchval(sql.query("count_checked"), *scope.arguments)
        orgs = scope.orgs if scope.orgs is not None else await suspect_orgs(connection, scope, wanted)
        found = await _Look(connection, Scope(orgs=orgs), wanted, drifts_max).run() if orgs else Found()
        return replace(found, transactions=transactions)


class _Look:
    def __init__(self, connection: asyncpg.Connection, scope: Scope, wanted: Wanted, drifts_max: int) -> None:
        self._connection = connection
        self._scope = scope
        self._wanted = wanted
        self._drifts_max = drifts_max
        self._found = Found()
        self._judged: set[AggregateKey] = set()
        self._wrong: list[Wrong] = []  # transactions whose snapshot is wrong

    async def run(self) -> Found:
        await self._judge(await self._suspects("suspect_snapshots", self._wanted.store_begins))
        await self._judge(await self._suspects("suspect_transactions", self._wanted.retained_from))
        days = await self._days()
        # A transaction past retention has no row that could have told of its snapshot: its day does.
        await self._judge(await self._transactions_of(days))
        if self._wrong:
            days = await self._days()
        self._found.drifts += [balance_drift(day) for day in days]
        return self._found

    async def _suspects(self, name: str, edge: int) -> list[AggregateKey]:
        query = {
            "suspect_snapshots": sql.query("suspect_snapshots"),
            "suspect_transactions": sql.query("suspect_transactions"),
        }[name]
        return self._bounded([key_of(row) for row in await self._fetch(query, *self._scope.arguments, edge)])

    async def _days(self) -> list[Any]:
        overlay = _overlay(self._wrong) if self._wrong else _NO_OVERLAY
        return self._bounded(await self._fetch(sql.query("drifted_balances"), *self._scope.arguments, *overlay))

    async def _transactions_of(self, days: Sequence[Any]) -> list[AggregateKey]:
        moved = [day[:3] for day in days if tuple(day[6:10]) != tuple(day[12:16])]
        rows = await self._fetch(sql.query("transactions_of_days"), *columns(moved, 3)) if moved else []
        return self._bounded([key_of(row) for row in rows])

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        """At most one row more than may be reported."""
        return list(await self._connection.fetch(query, *arguments, self._drifts_max + 1))

    def _bounded(self, rows: list[Any]) -> list[Any]:
        self._found.whole &= len(rows) <= self._drifts_max
        return rows[: self._drifts_max]

    async def _judge(self, keys: Sequence[AggregateKey]) -> None:
        fresh = sorted(set(keys) - self._judged)
        self._judged |= set(fresh)
        for start in range(0, len(fresh), _KEYS_A_FETCH):
            await self._judge_some(fresh[start : start + _KEYS_A_FETCH])

    async def _judge_some(self, keys: Sequence[AggregateKey]) -> None:
        arguments = columns(keys, 3)
        events = _by_key(await self._connection.fetch(sql.query("stored_versions"), *arguments))
        snapshots = _by_key(await self._connection.fetch(sql.query("standing_snapshots"), *arguments))
        rows = _by_key(await self._connection.fetch(sql.query("standing_transactions"), *arguments))
        for key in keys:
            of_key = events.get(key, []), snapshots.get(key, []), rows.get(key, [])
            try:
                wrong = next(judge_page(*of_key, self._wanted), None)
            except StoreDamaged as error:
                self._found.drifts.append(unreadable_event(key, str(error)))
                continue
            if wrong is not None:
                snapshot = of_key[1][0] if of_key[1] else None
                self._found.drifts += transaction_drifts(wrong, snapshot, of_key[2])
                self._wrong += [wrong] if wrong.snapshot else []


def _overlay(wrong: Sequence[Wrong]) -> tuple[list[Any], ...]:
    """For drifted_balances: snapshots to leave out, and what they ought to book."""
    return (*columns([each.key for each in wrong], 3), *columns(list(_bookings(wrong)), 6))


def _bookings(wrong: Sequence[Wrong]) -> Iterator[tuple[Any, ...]]:
    for each in wrong:
        if each.folded is not None:
            state, (org_id, aggregate_type, _) = each.folded.snapshot, each.key
            booked = state.payment_mode, state.contribution_cents
            yield org_id, state.property_id, state.balance_date, aggregate_type, *booked


def _by_key(rows: Sequence[Any]) -> dict[AggregateKey, list[Any]]:
    found: dict[AggregateKey, list[Any]] = {}
    for row in rows:
        found.setdefault(key_of(row), []).append(row)
    return found
