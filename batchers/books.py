"""The one fenced transaction: everything that a batch changes, or nothing.

fence -> decide -> store, snapshots, transactions, users -> corrections -> balances and carry-forward -> dead letters
-> outbox -> lanes. Corrections stand on top of the events of their batch: what they restate is what these have left.
The positions of the topic commit with the data, so a batch can be tried again by anyone at any time: it goes in once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

import sql
from batchers.advance import BatchResult, advance_lanes
from batchers.carry import Balance, carry
from batchers.coalesce import coalesce
from batchers.connection import Connect, Reach, WritingConnection
from batchers.correct import Adjustment, correct, day_of, recomputed_days
from batchers.decide import (
    Decisions,
    Known,
    Outcome,
    accepted,
    accepted_corrections,
    decide,
    versions_to_probe,
)
from batchers.fence import (
    LockedLane,
    already_committed,
    check_fence,
    lanes_to_lock,
    lock_lanes,
    recording_instant,
)
from batchers.linking import append_links, links_of
from batchers.outbox import Marks, OutboxRow, append_outbox, outbox_of_batch, outbox_rows, realtime_updates
from batchers.properties import Property, PropertyDefaults
from batchers.property_memory import PropertyMemory
from batchers.reading import (
    probe_versions,
    read_balances,
    read_booked_figures,
    read_corrections,
    read_paused_orgs,
    read_properties,
    read_snapshots,
)
from batchers.user_memory import UserKey, UserMemory, names_of
from batchers.writing import (
    EventRows,
    correction_rows,
    register_properties,
    stamped,
    write_balances,
    write_corrections,
    write_dead_letters,
    write_events,
    write_users,
)
from pipeline.clock import Clock
from schemas.instants import Instant, instant_of
from schemas.lanes import Batch, Positions
from schemas.records import Judged, PropertyKey
from schemas.topics import Feed


@dataclass(frozen=True, slots=True)
class Committed:
    """A batch that is in the books: what subscribers must hear, and what became of its records."""

    outbox: Sequence[OutboxRow]
    outcomes: Mapping[Outcome, int]
    positions: Positions


@dataclass(frozen=True, slots=True)
class BooksSettings:
    """What the transaction needs to know of the settings."""

    lane_count: int
    retention_months: int
    defaults: PropertyDefaults | None  # None: a property must be loaded before its first record
    # Late events reach every later day of their property. A day weighs about 2 KB on its way: 50,000 weigh 100 MB.
    reached_days_max: int = 50_000


class Books:
    """Writes batches through one connection, one at a time."""

    def __init__(
        self,
        connect: Connect,
        settings: BooksSettings,
        cluster_epoch: str,
        marks: Marks,
        clock: Clock,
        reach: Reach,
    ) -> None:
        self._settings = settings
        self._cluster_epoch = cluster_epoch  # of the primary that our claims were made on
        self._marks = marks
        self._clock = clock
        self._reach = reach
        self._connection = WritingConnection(connect, cluster_epoch, reach)
        self._properties = PropertyMemory()
        self._users = UserMemory()

    async def commit(self, batch: Batch) -> Committed:
        """Bring the books past the batch. Called again with the same batch, it finds what the first call did.

        Raises FenceLost when a lane is no longer ours, BatchTooSlow and BatchRejected when a smaller batch may do,
        DatabaseUnavailable and OutcomeUnknown when the same batch should be tried again.
        """
        epochs = batch.epochs
        marks = self._marks.unsaved(epochs)
        async with self._connection.transaction() as connection:
            locked = await lock_lanes(connection, lanes_to_lock(batch, self._settings.lane_count))
            if already_committed(batch, locked):
                return Committed(await outbox_of_batch(connection, batch), {}, batch.ends)
            check_fence(batch, locked)
            self._reach("fenced")
            work = await self._write(connection, batch, locked)
            await _save_marks(connection, epochs, marks)
        self._reach("committed")
        self._marks.saved(marks)
        self._properties.remember(work.decisions.registered, self._settings.lane_count, locked)
        self._users.remember(work.names, self._settings.lane_count, locked, work.last_recorded_at)
        return work.committed

    def owes_marks(self, epochs: Mapping[int, int]) -> bool:
        """Whether `save_marks` has anything to ask of the database."""
        return bool(self._marks.unsaved(epochs))

    async def save_marks(self, epochs: Mapping[int, int]) -> None:
        """Bring the marks to the database in a transaction of their own, when no batch comes to carry them.

        Raises FenceLost when another primary has taken over, DatabaseUnavailable and OutcomeUnknown.
        """
        marks = self._marks.unsaved(epochs)
        if not marks:
            return
        async with self._connection.transaction() as connection:
            await _save_marks(connection, epochs, marks)
        self._marks.saved(marks)

    def discard(self) -> None:
        """Let the connection go. Everything that matters is committed."""
        self._connection.discard()

    async def _write(self, connection: asyncpg.Connection, batch: Batch, locked: Mapping[int, LockedLane]) -> "_Work":
        recorded_at = recording_instant(instant_of(self._clock.now()), locked)
        records = [record for feed in Feed for slice_ in batch.of(feed) for record in slice_.records]
        known = await self._known(connection, batch, records, locked)
        self._reach("read")
        decisions = decide(records, known)
        properties = {**known.properties, **decisions.registered}
        await register_properties(connection, decisions.registered, known.defaults, recorded_at)
        rows = EventRows(decisions.changes, properties, self._settings.retention_months)
        staged = rows.build(decisions.stored, recorded_at)
        await write_events(connection, rows, staged)
        names = self._users.news(names_of(decisions.stored), self._settings.lane_count, locked)
        await write_users(connection, names, recorded_at)
        self._reach("events_written")
        corrections = stamped(decisions.corrections, recorded_at + len(staged))
        # A single record cannot be halved. What it reaches is bounded by the calendar (RuleSettings.past_max).
        days_max = self._settings.reached_days_max if batch.rows > 1 else None
        changed = await _change(connection, decisions, properties, len(records), days_max)
        corrected = correction_rows(corrections, _finance_positions(batch, locked))
        await write_corrections(connection, corrections, corrected, changed.adjustments)
        links = links_of(batch, locked, self._cluster_epoch, staged, corrected)
        await append_links(connection, links)
        await write_balances(connection, changed.balances, recorded_at)
        self._reach("balances_written")
        updates = realtime_updates(changed.balances, self._cluster_epoch, recorded_at)
        outbox = outbox_rows(batch, locked, updates, decisions.quarantined, links)
        await write_dead_letters(connection, outbox, recorded_at)
        await append_outbox(connection, batch.batch_id, outbox, recorded_at)
        self._reach("outbox_written")
        last_recorded_at = recorded_at + len(staged) + len(corrections)
        result = BatchResult(decisions, links, outbox, last_recorded_at, self._settings.lane_count)
        await advance_lanes(connection, batch, locked, result)
        self._reach("lanes_advanced")
        outcomes = {outcome: sum(of[outcome] for of in decisions.outcomes.values()) for outcome in Outcome}
        return _Work(decisions, names, last_recorded_at, Committed(outbox, outcomes, batch.ends))

    async def _known(
        self, connection: asyncpg.Connection, batch: Batch, records: Sequence[Judged], locked: Mapping[int, LockedLane]
    ) -> Known:
        events = list(accepted(records))
        snapshots = await read_snapshots(connection, {record.key for record in events})
        stored = await probe_versions(connection, versions_to_probe(events, snapshots))
        corrections = [
            record for slice_ in batch.of(Feed.CORRECTIONS) for record in accepted_corrections(slice_.records)
        ]
        applied = await read_corrections(connection, sorted({record.key for record in corrections}))
        wanted = {(record.key[0], record.event.property_id) for record in events}
        wanted |= {day_of(record)[:2] for record in corrections}
        wanted |= {(key[0], snapshot.property_id) for key, snapshot in snapshots.items()}
        properties = self._properties.recall(wanted, locked)
        found = await read_properties(connection, wanted - properties.keys())
        self._properties.remember(found, self._settings.lane_count, locked)
        paused = await read_paused_orgs(connection, {org for slice_ in batch.slices for org in slice_.orgs}, locked)
        return Known(snapshots, stored, properties | found, self._settings.defaults, applied, paused)


@dataclass(frozen=True, slots=True)
class _Work:
    decisions: Decisions
    names: Mapping[UserKey, str]
    last_recorded_at: Instant
    committed: Committed


@dataclass(frozen=True, slots=True)
class _Changed:
    """The days that a batch changes, each with its next version, and what its figures corrections became."""

    balances: list[Balance]
    adjustments: list[Adjustment]


async def _change(
    connection: asyncpg.Connection,
    decisions: Decisions,
    properties: Mapping[PropertyKey, Property],
    first_sequence: int,
    days_max: int | None,
) -> _Changed:
    movements = coalesce(decisions.changes.items())
    first_days = {key: min(days) for key, days in movements.items()}
    for *key, day in map(day_of, decisions.corrections):
        property_key = (key[0], key[1])
        first_days[property_key] = min(day, first_days.get(property_key, day))
    if not first_days:
        return _Changed([], [])
    existing = await read_balances(connection, first_days, days_max)
    booked = await read_booked_figures(connection, recomputed_days(decisions.corrections))
    movements, adjustments = correct(movements, decisions.corrections, existing, booked, first_sequence)
    changed = [
        balance
        for key, days in movements.items()
        for balance in carry(*key, existing.get(key, []), days, properties[key].opening_cash_cents)
    ]
    return _Changed(changed, adjustments)


def _finance_positions(batch: Batch, locked: Mapping[int, LockedLane]) -> dict[int, int]:
    """Where each lane stands in finance-events once the events of the batch are in."""
    return {lane: batch.ends.get((lane, Feed.EVENTS), locked[lane].finance_position or 0) for lane in batch.lanes}


async def _save_marks(
    connection: asyncpg.Connection, epochs: Mapping[int, int], marks: Mapping[int, tuple[int, int]]
) -> None:
    if not marks:
        return
    of_lanes = [(lane, epochs[lane], *both) for lane, both in sorted(marks.items())]
    await connection.executemany(sql.query("mark_lane"), of_lanes)
    await connection.executemany(sql.query("trim_outbox"), [(lane,) for lane in sorted(marks)])
