"""One look at one scope, in one snapshot of the database.

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
from pipeline.consistency.sieve import orgs_of_slice, suspect_orgs
from pipeline.rebuild.looking import Unreadable, Wanted, Wrong, judge_page
from pipeline.rebuild.months import with_months_held
from pipeline.rebuild.paging import Rows
from pipeline.rebuild.scope import Slice
from pipeline.rebuild.standing import by_key, rows_among, snapshot_among
from pipeline.rebuild.transactions import accounts

# Named one by one the planner takes 20 KB for each, as many as there are hash partitions to look for it in.
_ORGS_AT_A_TIME: Final = 5_000
_NO_OVERLAY: Final[tuple[list[Any], ...]] = ([],) * 9


@dataclass(slots=True)
class Found:
    """What a look has found."""

    transactions: int = 0
    orgs: Sequence[int] = ()  # that were looked at closely: of others nothing is known that could settle a drift
    drifts: list[Drift] = field(default_factory=list)
    whole: bool = True  # False: there may be more than was asked for


async def look(
    connection: asyncpg.Connection, scope: Scope, wanted: Wanted, drifts_max: int, *, every_byte: bool = False
) -> Found:
    """Hold a scope against itself. Beside live writers too: each batch is one transaction, and so is this look.

    Of a slice those organisations are looked at closely that may hold a drift, or all of them by every stored byte.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        wanted = await with_months_held(connection, wanted)
        transactions = await connection.fetchval(sql.query("count_checked"), *scope.arguments)
        if scope.orgs is not None:
            orgs = scope.orgs
        elif every_byte:
            orgs = await orgs_of_slice(connection, scope)
        else:
            orgs = await suspect_orgs(connection, scope, wanted)
        return replace(await _closely(connection, orgs, wanted, drifts_max), transactions=transactions, orgs=orgs)


async def _closely(connection: asyncpg.Connection, orgs: Sequence[int], wanted: Wanted, drifts_max: int) -> Found:
    """Some organisations at a time; not whole as soon as there are more drifts than may be recorded."""
    found = Found()
    for start in range(0, len(orgs), _ORGS_AT_A_TIME):
        left = drifts_max - len(found.drifts)
        part = await _Look(connection, orgs[start : start + _ORGS_AT_A_TIME], wanted, left).run()
        found.drifts += part.drifts
        if not part.whole:
            return replace(found, whole=False)
    return found


class _Look:
    """A close look at some organisations: every stored byte, every row, every day."""

    def __init__(self, connection: asyncpg.Connection, orgs: Sequence[int], wanted: Wanted, drifts_max: int) -> None:
        self._connection = connection
        self._orgs = orgs
        self._wanted = wanted
        self._drifts_max = drifts_max
        self._found = Found()
        self._wrong: list[Wrong] = []  # transactions whose snapshot is wrong

    async def run(self) -> Found:
        found, most = self._found, self._drifts_max
        async for page in accounts(self._connection, Slice.of(self._orgs)):
            self._judge(*page)
            if len(found.drifts) > most:
                # Days that only follow from what was not read could not be told from days that are wrong.
                return Found(drifts=found.drifts[:most], whole=False)
        overlay = _overlay(self._wrong) if self._wrong else _NO_OVERLAY
        days = await self._connection.fetch(sql.query("drifted_balances"), self._orgs, *overlay, most + 1)
        found.drifts += [balance_drift(day) for day in days]
        found.whole = len(found.drifts) <= most
        return replace(found, drifts=found.drifts[:most])

    def _judge(self, events: Rows, stands: Rows) -> None:
        drifted = list(judge_page(events, stands, self._wanted))
        if not drifted:
            return
        standing = by_key(stands)
        for each in drifted:
            if isinstance(each, Unreadable):
                self._found.drifts.append(unreadable_event(each.key, str(each.error)))
                continue
            of_key = standing.get(each.key, ())
            self._found.drifts += transaction_drifts(each, snapshot_among(of_key), rows_among(of_key))
            self._wrong += [each] if each.snapshot else []


def _overlay(wrong: Sequence[Wrong]) -> tuple[list[Any], ...]:
    """For drifted_balances: snapshots to leave out, and what they ought to book."""
    return (*columns([each.key for each in wrong], 3), *columns(list(_bookings(wrong)), 6))


def _bookings(wrong: Sequence[Wrong]) -> Iterator[tuple[Any, ...]]:
    for each in wrong:
        if each.folded is not None:
            state, (org_id, aggregate_type, _) = each.folded.snapshot, each.key
            booked = state.payment_mode, state.contribution_cents
            yield org_id, state.property_id, state.balance_date, aggregate_type, *booked
