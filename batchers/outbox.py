"""The outbox: what a batch changed and refused, committed with it, until it is both published and invalidated."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import UNSET

import sql
from batchers.carry import Balance
from batchers.fence import LockedLane
from batchers.linking import Link
from schemas.dead_letters import DeadLetter, dead_letter, stored_origin
from schemas.instants import Instant, moment_of
from schemas.lanes import Batch, Claim
from schemas.records import Rejected
from schemas.updates import BalanceUpdate, EncodedUpdate, encode_update, join_updates, split_updates

_UPDATE_BYTES: Final = 2_000  # 400 of them encoded
_EMPTY_LETTER_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One lane's share of a batch. `seq` rises by one with each row of a lane."""

    lane: int
    seq: int
    updates: Sequence[EncodedUpdate]
    batch_id: UUID
    letters: Sequence[DeadLetter] = ()
    chain_head: bytes | None = None  # of the lane after the batch, as it is told (schemas.chain.ChainHead)

    @property
    def letter_bytes(self) -> int:
        """What the letters take in memory, about."""
        return sum(letter.size + _EMPTY_LETTER_BYTES for letter in self.letters)

    @property
    def weight(self) -> int:
        """What the row takes in memory, in bytes, about."""
        return len(self.updates) * _UPDATE_BYTES + self.letter_bytes


@dataclass(slots=True)
class Marks:
    """How far each lane is published and invalidated; each mark moves on its own, and never back."""

    published: dict[int, int] = field(default_factory=dict)
    invalidated: dict[int, int] = field(default_factory=dict)
    _saved: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, claims: Sequence[Claim]) -> "Marks":
        published = {claim.lane: claim.published_seq for claim in claims}
        invalidated = {claim.lane: claim.invalidated_seq for claim in claims}
        return cls(published, invalidated, {lane: (published[lane], invalidated[lane]) for lane in published})

    def unsaved(self, lanes: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Lane to (published, invalidated), for those of `lanes` whose marks the database does not have yet."""
        now = {lane: (self.published[lane], self.invalidated[lane]) for lane in lanes}
        return {lane: marks for lane, marks in now.items() if marks != self._saved[lane]}

    def saved(self, marks: Mapping[int, tuple[int, int]]) -> None:
        """The database has committed these."""
        self._saved.update(marks)


def realtime_updates(balances: Sequence[Balance], epoch: str, recorded_at: Instant) -> Iterator[BalanceUpdate]:
    changed_at = moment_of(recorded_at)
    for balance in balances:
        calculated, closing, discrepancy = balance.closings()
        figures = balance.figures
        yield BalanceUpdate(
            org_id=balance.org_id,
            property_id=balance.property_id,
            balance_date=balance.balance_date,
            epoch=epoch,
            version=balance.version,
            opening_balance_cents=balance.opening_cents,
            cash_received_cents=figures[0],
            bank_received_cents=figures[1],
            cash_expenses_cents=figures[2],
            bank_expenses_cents=figures[3],
            calculated_closing_balance_cents=calculated,
            declared_closing_cents=balance.declared_closing_cents,
            closing_balance_cents=closing,
            balance_discrepancy_cents=discrepancy,
            changed_at=changed_at,
            cause=balance.cause,
            event_id=balance.last_event_id,
            traceparent=balance.traceparent if balance.traceparent is not None else UNSET,
        )


def outbox_rows(
    batch: Batch,
    locked: Mapping[int, LockedLane],
    updates: Iterator[BalanceUpdate],
    quarantined: Iterable[Rejected],
    links: Mapping[int, Link],
) -> list[OutboxRow]:
    """Each update goes with a lane that had an event of its organisation: the next owner of that lane publishes it.

    A dead letter goes with the lane that it came by, and so does the head of the lane's chain. A lane of which
    there is nothing to tell has no row.
    """
    lane_of = {org_id: slice_.lane for slice_ in batch.slices for org_id in slice_.orgs}
    updates_of: dict[int, list[EncodedUpdate]] = defaultdict(list)
    for update in updates:
        updates_of[lane_of[update.org_id]].append(encode_update(update))
    letters_of: dict[int, list[DeadLetter]] = defaultdict(list)
    for rejected in quarantined:
        letters_of[rejected.origin.lane].append(dead_letter(rejected))
    return [
        OutboxRow(
            lane,
            locked[lane].outbox_seq + 1,
            updates_of[lane],
            batch.batch_id,
            letters_of[lane],
            links[lane].told if lane in links else None,
        )
        for lane in sorted(updates_of.keys() | letters_of.keys() | links.keys())
    ]


async def append_outbox(
    connection: asyncpg.Connection, batch_id: UUID, outbox: Sequence[OutboxRow], recorded_at: Instant
) -> None:
    if not outbox:
        return
    rows = [
        (
            row.lane,
            row.seq,
            batch_id,
            recorded_at,
            len(row.updates),
            join_updates(row.updates),
            len(row.letters),
            row.letter_bytes,
            row.chain_head,
        )
        for row in outbox
    ]
    await connection.executemany(sql.query("append_outbox"), rows)


async def read_outbox(connection: asyncpg.Connection, lane: int, after: int, bytes_max: int) -> list[OutboxRow]:
    """The next rows of a lane behind `after`: at least one where there is one, and about `bytes_max` at most."""
    return await _whole(connection, await connection.fetch(sql.query("read_outbox"), lane, after, bytes_max), _letter)


async def outbox_of_batch(connection: asyncpg.Connection, batch: Batch) -> list[OutboxRow]:
    """What the batch left in the outbox when it was committed. The connection is a writer's: instants are numbers."""
    rows = await connection.fetch(sql.query("batch_outbox"), batch.lanes, batch.batch_id)
    return await _whole(connection, rows, _letter_to_writer)


async def _whole(
    connection: asyncpg.Connection, rows: Sequence[asyncpg.Record], letter_of: Callable[[Any], DeadLetter]
) -> list[OutboxRow]:
    with_letters: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        if row["letter_count"]:
            with_letters[row["lane"]].append(row["seq"])
    letters: dict[tuple[int, int], list[DeadLetter]] = defaultdict(list)
    for lane, seqs in with_letters.items():
        for row in await connection.fetch(sql.query("read_letters"), lane, seqs):
            letters[lane, row["outbox_seq"]].append(letter_of(row))
    return [
        OutboxRow(lane, seq, split_updates(updates), batch_id, letters[lane, seq], chain_head)
        for lane, seq, batch_id, updates, _letter_count, chain_head in rows
    ]


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(stored_origin(row), row["reason"], row["detail"])


def _letter_to_writer(row: asyncpg.Record) -> DeadLetter:
    return _letter({**row, "appended_at": moment_of(row["appended_at"])})
