"""What the decisions change, written as sets: into staging by COPY, from there into the tables in key order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec

import sql
from batchers.carry import Balance
from batchers.correct import Adjustment
from batchers.decide import Change, Stored
from batchers.outbox import OutboxRow
from batchers.properties import Property, PropertyDefaults
from batchers.reading import columns
from batchers.user_memory import UserKey
from pipeline.months import retention_start
from schemas.content_hash import CORRECTION_HASH_VERSION, HASH_VERSION
from schemas.dead_letters import DeadLetter
from schemas.headers import packed_headers
from schemas.instants import Instant, instant_of
from schemas.records import AcceptedCorrection, AggregateKey, PropertyKey

Row = tuple[Any, ...]
_NOT_NEWEST: Row = (None,) * 15


async def register_properties(
    connection: asyncpg.Connection,
    registered: Mapping[PropertyKey, Property],
    defaults: PropertyDefaults | None,
    recorded_at: Instant,
) -> None:
    """Insert the properties that the batch is the first to name."""
    if not registered:
        return
    assert defaults is not None, "without defaults nothing registers itself"
    orgs, properties = zip(*registered, strict=True)
    currencies = [property_.currency for property_ in registered.values()]
    await connection.execute(
        sql.query("register_properties"), orgs, properties, currencies, defaults.time_zone, recorded_at
    )


class EventRows:
    """Builds the staging rows of a batch, and remembers what the statements need to know of them."""

    def __init__(
        self,
        changes: Mapping[AggregateKey, Change],
        properties: Mapping[PropertyKey, Property],
        retention_months: int,
    ) -> None:
        self._changes = changes
        self._properties = properties
        self._retention_months = retention_months
        self.bookings: set[str] = set()  # whether there are new transactions, and known ones
        self.retained: set[tuple[str, str]] = set()  # booking and aggregate type of the rows that their tables keep
        self.moved: dict[str, list[Row]] = {}  # by aggregate type, the places that rows must leave: org, id, instant

    def build(self, stored: Iterable[Stored], recorded_at: Instant) -> list[Row]:
        """One row for each event, recorded a microsecond apart: so they rise within a lane."""
        return [self._row(event, recorded_at + place) for place, event in enumerate(stored)]

    def _row(self, stored: Stored, recorded_at: Instant) -> Row:
        record, event, origin = stored.record, stored.record.event, stored.record.origin
        key = record.key
        change = self._changes.get(key)
        newest = self._newest(key, change) if change is not None and change.record is record else _NOT_NEWEST
        return (
            recorded_at,
            origin.lane,
            origin.offset,
            event.org_id,
            key[1],
            event.aggregate_id,
            event.version,
            event.type,
            event.event_id,
            event.property_id,
            stored.balance_date,
            record.occurred_at,
            record.appended_at,
            stored.outcome,
            HASH_VERSION,
            record.content_hash,
            origin.value,
            packed_headers(origin.headers) if origin.headers else None,
            *newest,
        )

    def _newest(self, key: AggregateKey, change: Change) -> Row:
        data, before, after = change.record.event.data, change.before, change.after
        retained = after.occurred_at >= _retention_start(change.record.origin.appended_at, self._retention_months)
        if before is not None and (before.occurred_at != after.occurred_at or not retained):
            self.moved.setdefault(key[1], []).append((key[0], key[2], before.occurred_at))
        booking = "new" if before is None else "known"
        self.bookings.add(booking)
        if retained:
            self.retained.add((booking, key[1]))
        return (
            booking,
            retained,
            after.payment_mode,
            after.status,
            after.amount_cents,
            after.contribution_cents,
            self._properties[key[0], after.property_id].currency,
            data.category,
            data.description,
            data.bank_reference,
            data.source,
            after.created_at,
            after.created_by_user_id,
            after.approved_at,
            after.approved_by_user_id,
        )


@lru_cache(maxsize=1024)  # a broker stamps a whole batch of records at once
def _retention_start(appended_at: datetime, months: int) -> Instant:
    return instant_of(retention_start(appended_at, months))


async def write_events(connection: asyncpg.Connection, rows: EventRows, staged: Sequence[Row]) -> None:
    """Store, snapshots, transactions, from one COPY."""
    if not staged:
        return
    # The old row goes first: a transaction that moves within a month would otherwise be there twice for a moment.
    if "revenue" in rows.moved:
        await connection.execute(sql.query("delete_moved_revenues"), *columns(rows.moved["revenue"], 3))
    if "expense" in rows.moved:
        await connection.execute(sql.query("delete_moved_expenses"), *columns(rows.moved["expense"], 3))
    await connection.copy_records_to_table("staging_events", records=staged)
    await connection.execute(sql.in_turn(_statements(rows)))


def _statements(rows: EventRows) -> Iterator[str]:
    """What has rows to write: a batch of a few events, and most are small, runs half of them.

    What the decision found to be new needs no look for a row to replace: two thirds of the work of an upsert.
    """
    yield sql.query("append_events")
    if "new" in rows.bookings:
        yield sql.query("append_snapshots")
    if "known" in rows.bookings:
        yield sql.query("upsert_snapshots")
    if ("new", "revenue") in rows.retained:
        yield sql.query("append_revenues")
    if ("known", "revenue") in rows.retained:
        yield sql.query("upsert_revenues")
    if ("new", "expense") in rows.retained:
        yield sql.query("append_expenses")
    if ("known", "expense") in rows.retained:
        yield sql.query("upsert_expenses")


async def write_users(connection: asyncpg.Connection, names: Mapping[UserKey, str], recorded_at: Instant) -> None:
    """Users who may be called something new."""
    if names:
        rows = [(*key, name) for key, name in names.items()]
        await connection.execute(sql.query("upsert_users"), *columns(rows, 3), recorded_at)


async def write_balances(connection: asyncpg.Connection, balances: Sequence[Balance], recorded_at: Instant) -> None:
    """The changed days, each with every figure: the table's constraints check the arithmetic."""
    if not balances:
        return
    await connection.copy_records_to_table(
        "staging_balances", records=[_balance_row(balance, recorded_at) for balance in balances]
    )
    statements = []
    if any(balance.version == 1 for balance in balances):
        statements.append(sql.query("append_balances"))
    if any(balance.version > 1 for balance in balances):
        statements.append(sql.query("upsert_balances"))
    await connection.execute(sql.in_turn(statements))


def _balance_row(balance: Balance, recorded_at: Instant) -> Row:
    calculated, closing, discrepancy = balance.closings()
    return (
        balance.org_id,
        balance.property_id,
        balance.balance_date,
        balance.version,
        balance.opening_cents,
        *balance.figures,
        calculated,
        balance.declared_closing_cents,
        closing,
        discrepancy,
        balance.last_event_id,
        recorded_at,
    )


async def write_dead_letters(connection: asyncpg.Connection, outbox: Sequence[OutboxRow], recorded_at: Instant) -> None:
    """Records that broke a rule, with their own bytes, and the row of the outbox that exports them."""
    letters = [(letter, row.seq) for row in outbox for letter in row.letters]
    if not letters:
        return
    await connection.executemany(
        sql.query("append_dead_letters"), [_letter_row(letter, seq, recorded_at) for letter, seq in letters]
    )


def _letter_row(letter: DeadLetter, outbox_seq: int, recorded_at: Instant) -> Row:
    origin = letter.origin
    return (
        origin.topic,
        origin.lane,
        origin.offset,
        letter.reason,
        letter.detail,
        instant_of(origin.appended_at),
        recorded_at,
        origin.key,
        origin.value,
        packed_headers(origin.headers),
        outbox_seq,
    )


def correction_rows(
    applied: Sequence[tuple[AcceptedCorrection, Instant]], finance_positions: Mapping[int, int]
) -> list[Row]:
    """The rows of the corrections of a batch, each with where its lane then stands in finance-events."""
    return [_correction_row(record, at, finance_positions[record.origin.lane]) for record, at in applied]


async def write_corrections(
    connection: asyncpg.Connection,
    applied: Sequence[tuple[AcceptedCorrection, Instant]],
    rows: Sequence[Row],
    adjustments: Sequence[Adjustment],
) -> None:
    """The corrections of a batch, and what they did to the movements of their days."""
    if not applied:
        return
    await connection.execute(sql.query("append_corrections"), *columns(rows, 18))
    if adjustments:
        instants = {record.key: at for record, at in applied}
        moved = [
            (*_day_and_id(each.record), *each.before, *each.after, instants[each.record.key]) for each in adjustments
        ]
        await connection.execute(sql.query("append_adjustments"), *columns(moved, 13))


def _correction_row(record: AcceptedCorrection, recorded_at: Instant, finance_position: int) -> Row:
    correction, origin = record.correction, record.origin
    declared = correction.declared_closing_cents
    return (
        correction.org_id,
        correction.correction_id,
        correction.property_id,
        correction.balance_date,
        correction.kind,
        declared if declared is not msgspec.UNSET else None,
        CORRECTION_HASH_VERSION,
        record.content_hash,
        origin.lane,
        origin.offset,
        finance_position,
        instant_of(origin.appended_at),
        recorded_at,
        instant_of(correction.issued_at),
        correction.recorded_by.user_id,
        correction.reason,
        origin.value,
        packed_headers(origin.headers),
    )


def _day_and_id(record: AcceptedCorrection) -> Row:
    correction = record.correction
    return correction.org_id, correction.property_id, correction.balance_date, correction.correction_id


def stamped(corrections: Iterable[AcceptedCorrection], first: Instant) -> list[tuple[AcceptedCorrection, Instant]]:
    """Each correction with its instant of recording: a microsecond apart, as the events before them."""
    return [(correction, first + place) for place, correction in enumerate(corrections)]
