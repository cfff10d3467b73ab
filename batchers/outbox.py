"""The outbox: what a batch changed, committed with it, until it is both published and invalidated."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

import sql
from batchers.carry import Balance
from batchers.fence import LockedLane
from schemas.lanes import Batch, Claim
from schemas.records import org_of
from schemas.updates import BalanceUpdate, EncodedUpdate, encode_update, join_updates


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One lane's share of a batch. `seq` rises by one with each row of a lane."""

    lane: int
    seq: int
    updates: Sequence[EncodedUpdate]


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


def realtime_updates(balances: Sequence[Balance], epoch: str, changed_at: datetime) -> Iterator[BalanceUpdate]:
    for balance in balances:
        yield BalanceUpdate(
            org_id=balance.org_id,
            property_id=balance.property_id,
            balance_date=balance.balance_date,
            epoch=epoch,
            version=balance.version,
            opening_balance_cents=balance.opening_cents,
            cash_received_cents=balance.figures.cash_received_cents,
            bank_received_cents=balance.figures.bank_received_cents,
            cash_expenses_cents=balance.figures.cash_expenses_cents,
            bank_expenses_cents=balance.figures.bank_expenses_cents,
            calculated_closing_balance_cents=balance.calculated_closing_cents,
            declared_closing_cents=balance.declared_closing_cents,
            closing_balance_cents=balance.closing_cents,
            balance_discrepancy_cents=balance.discrepancy_cents,
            changed_at=changed_at,
            cause=balance.cause,
            event_id=balance.last_event_id,
        )


def outbox_rows(batch: Batch, locked: Mapping[int, LockedLane], updates: Iterator[BalanceUpdate]) -> list[OutboxRow]:
    """Each update goes with a lane that had an event of its organisation: the next owner of that lane publishes it."""
    lane_of = {org_of(record): slice_.lane for slice_ in batch.slices for record in slice_.records}
    by_lane: dict[int, list[EncodedUpdate]] = {}
    for update in updates:
        by_lane.setdefault(lane_of[update.org_id], []).append(encode_update(update))
    return [OutboxRow(lane, locked[lane].outbox_seq + 1, by_lane[lane]) for lane in sorted(by_lane)]


async def append_outbox(
    connection: asyncpg.Connection, batch_id: UUID, outbox: Sequence[OutboxRow], recorded_at: datetime
) -> None:
    for row in outbox:
        await connection.execute(
            sql.query("append_outbox"),
            row.lane,
            row.seq,
            batch_id,
            recorded_at,
            len(row.updates),
            join_updates(row.updates),
        )
