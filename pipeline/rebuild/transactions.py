"""Snapshots and transactions from the event store: looked at without a lock, written under it where they are wrong."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

import sql
from batchers.reading import columns
from pipeline.rebuild.folding import Folded, Row, fold
from pipeline.rebuild.looking import Unreadable, Wanted, Wrong, judge_page
from pipeline.rebuild.months import with_months_held
from pipeline.rebuild.paging import Rows, key_of, pages
from pipeline.rebuild.scope import Slice, Tally
from pipeline.rebuild.steps import ROWS_A_STEP, Locked, Steps
from schemas.instants import Instant
from schemas.records import AggregateKey

Watermarks = Mapping[int, Instant]


async def rebuild_transactions(
    reading: asyncpg.Connection, steps: Steps | None, slice_: Slice, wanted: Wanted
) -> Tally:
    """Bring snapshots and rows of a slice to what the store says; without `steps` only count what that would change.

    The whole slice is read in one snapshot of the database. Raises StoreDamaged.
    """
    tally = Tally()
    async with reading.transaction(isolation="repeatable_read", readonly=True):
        wanted = await with_months_held(reading, wanted)
        watermarks = {row[0]: row[1] for row in await reading.fetch(sql.query("rebuild_watermarks"))}
        async for events, stands in accounts(reading, slice_):
            tally.looked_at += len(events)
            wrong = map(_readable, judge_page(events, stands, wanted))
            for group in _groups(sorted(wrong, key=lambda each: each.key)):
                if steps is not None:
                    await _mend(steps, group, watermarks, wanted)
                tally.count("snapshots", sum(each.snapshot for each in group))
                tally.count("transactions", sum(each.row for each in group))
    return tally


async def accounts(connection: asyncpg.Connection, slice_: Slice) -> AsyncIterator[list[Rows]]:
    """What is stored and what stands of a slice, page by page, in the caller's transaction."""
    statements = sql.query("rebuild_events"), sql.query("rebuild_standing")
    cursors = [await connection.cursor(statement, *slice_.arguments) for statement in statements]
    async for page in pages(cursors):
        yield page


def _readable(wrong: Wrong | Unreadable) -> Wrong:
    """Nothing is made from a store that was tampered with."""
    if isinstance(wrong, Unreadable):
        raise wrong.error
    return wrong


def _groups(wrong: Sequence[Wrong]) -> Iterator[list[Wrong]]:
    """At most so many for a step, and in each the same tables to write."""
    alike: defaultdict[tuple[bool, bool], list[Wrong]] = defaultdict(list)
    for each in wrong:
        alike[each.snapshot, each.row].append(each)
    for group in alike.values():
        for start in range(0, len(group), ROWS_A_STEP):
            yield group[start : start + ROWS_A_STEP]


async def _mend(steps: Steps, group: Sequence[Wrong], watermarks: Watermarks, wanted: Wanted) -> None:
    async def work(locked: Locked) -> None:
        current = await _caught_up(locked, group, watermarks)
        await _clear(locked, current)
        await _write(locked.connection, [each for each in current if each.folded is not None], wanted.retained_from)

    await steps.run({each.key[0] for each in group}, work)


async def _caught_up(locked: Locked, group: Sequence[Wrong], watermarks: Watermarks) -> Sequence[Wrong]:
    """What was found wrong, with what was stored since: writers went on while we looked."""
    moved_on = {lane for lane, row in locked.lanes.items() if row.last_recorded_at > watermarks[lane]}
    if not moved_on:
        return group
    since = min(watermarks[lane] for lane in moved_on)
    keys = [each.key for each in group if locked.home(each.key[0]).lane in moved_on]
    later: defaultdict[AggregateKey, list[Row]] = defaultdict(list)
    for row in await locked.connection.fetch(sql.query("rebuild_later_events"), *columns(keys, 3), since):
        home = locked.home(row[0]).lane
        if row[8] > watermarks[home]:
            later[key_of(row)].append(row)
    return [_followed(each, later[each.key]) if each.key in later else each for each in group]


def _followed(wrong: Wrong, later: Sequence[Row]) -> Wrong:
    """The transaction after what was stored since. Its row stands where one of these, or its state before, put it."""
    folded = fold(wrong.folded, later)
    before = [wrong.folded.snapshot.occurred_at] if wrong.folded is not None else []
    places = {*wrong.places, *before, *(row[6] for row in later)}
    return replace(wrong, folded=folded, places=tuple(sorted(places)))


async def _clear(locked: Locked, group: Sequence[Wrong]) -> None:
    """Take away what nothing stands behind, and the rows that are written anew.

    These are not updated: so every column is right afterwards, by the statements with which the worker makes them.
    """
    orphans = [each.key for each in group if each.snapshot and each.folded is None]
    if orphans:
        await locked.connection.execute(sql.query("delete_orphaned_snapshots"), *columns(orphans, 3))
    places: dict[str, list[tuple[Any, ...]]] = {"revenue": [], "expense": []}
    for each in group:
        if each.row:
            org_id, aggregate_type, aggregate_id = each.key
            found = {*each.places, *_own_place(each.folded)} if locked.again else each.places
            places[aggregate_type] += [(org_id, aggregate_id, place) for place in found]
    if places["revenue"]:
        await locked.connection.execute(sql.query("delete_moved_revenues"), *columns(places["revenue"], 3))
    if places["expense"]:
        await locked.connection.execute(sql.query("delete_moved_expenses"), *columns(places["expense"], 3))


def _own_place(folded: Folded | None) -> Sequence[Instant]:
    return () if folded is None else (folded.snapshot.occurred_at,)


async def _write(connection: asyncpg.Connection, group: Sequence[Wrong], retained_from: Instant) -> None:
    if not group:
        return
    staged = [_staged(each.folded, bool(each.places), retained_from) for each in group if each.folded is not None]
    await connection.copy_records_to_table("staging_events", records=staged)
    statements = [sql.query("replace_snapshots")] if group[0].snapshot else []
    if group[0].row:
        statements += [sql.query("append_revenues"), sql.query("append_expenses")]
    await connection.execute(sql.in_turn(statements))


def _staged(folded: Folded, had_row: bool, retained_from: Instant) -> tuple[Any, ...]:
    """As the worker stages a new transaction (queries/create_staging.sql). A row that stood may be past retention."""
    state, data = folded.snapshot, folded.data
    return (
        folded.recorded_at,
        *(None, None),  # lane and offset
        *folded.key,
        state.version,
        *(None, None),  # type and id of the event
        state.property_id,
        state.balance_date,
        state.occurred_at,
        folded.appended_at,
        "applied",
        state.fingerprint.hash_version,
        state.fingerprint.content_hash,
        *(None, None),  # bytes and headers
        "new",
        had_row or state.occurred_at >= retained_from,
        state.payment_mode,
        state.status,
        state.amount_cents,
        state.contribution_cents,
        folded.currency,
        data.category,
        data.description,
        data.bank_reference,
        data.source,
        state.created_at,
        state.created_by_user_id,
        state.approved_at,
        state.approved_by_user_id,
    )
