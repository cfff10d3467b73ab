"""Carry-forward: a change of one day moves the opening of the next, in one pass over the property's days.

calculated closing = opening + cash received - cash expenses
closing            = the declared closing where one was counted, else the calculated one
discrepancy        = closing - calculated closing
opening            = the closing of the latest earlier day with a row, or the property's opening cash
"""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from msgspec import Struct

from batchers.coalesce import NOTHING, Figures, Movement
from schemas.updates import Cause


class Balance(Struct, frozen=True, gc=False):
    """One day of one property. Money in cents."""

    org_id: int
    property_id: int
    balance_date: date
    version: int
    opening_cents: int
    figures: Figures
    declared_closing_cents: int | None
    last_event_id: UUID | None
    cause: Cause = "event"  # of its last change
    traceparent: str | None = None  # of its last change, too; the books do not keep it

    @property
    def calculated_closing_cents(self) -> int:
        return self.opening_cents + self.figures.cash_received_cents - self.figures.cash_expenses_cents

    @property
    def closing_cents(self) -> int:
        if self.declared_closing_cents is not None:
            return self.declared_closing_cents
        return self.calculated_closing_cents

    @property
    def discrepancy_cents(self) -> int:
        return self.closings()[2]

    def closings(self) -> tuple[int, int, int]:
        """The calculated closing, the closing and the discrepancy, added up once for all three."""
        calculated, declared = self.calculated_closing_cents, self.declared_closing_cents
        closing = calculated if declared is None else declared
        return calculated, closing, closing - calculated


def carry(
    org_id: int,
    property_id: int,
    existing: Sequence[Balance],
    movements: Mapping[date, Movement],
    opening_cash_cents: int,
) -> list[Balance]:
    """The rows that `movements` change, each with its next version, in date order.

    `existing` holds the property's rows from the latest one before the first movement on, ascending. Every later row
    is reached until one whose opening does not change: after a declared closing nothing does.
    """
    if len(movements) == 1:
        ((moved_day, moved),) = movements.items()
        if not existing or existing[-1].balance_date <= moved_day:
            return _moved_last(org_id, property_id, existing, moved_day, moved, opening_cash_cents)
    rows = {row.balance_date: row for row in existing}
    first, last = min(movements), max(movements)
    opening = opening_cash_cents
    newest: Movement | None = None
    changed: list[Balance] = []
    for day in sorted(rows.keys() | movements.keys()):
        row, movement = rows.get(day), movements.get(day)
        if row is not None and day < first:
            opening = row.closing_cents
            continue
        if movement is None and day > last and row is not None and row.opening_cents == opening:
            break
        if movement is not None and (newest is None or newest.sequence < movement.sequence):
            newest = movement
        after = _moved(org_id, property_id, day, row, movement, opening, newest)
        if after is None:
            continue
        if after is not row:
            changed.append(after)
        opening = after.closing_cents
    return changed


def _moved_last(
    org_id: int,
    property_id: int,
    existing: Sequence[Balance],
    day: date,
    movement: Movement,
    opening_cash_cents: int,
) -> list[Balance]:
    """The usual case, of today: one day moves, and no later one has a row."""
    row = existing[-1] if existing and existing[-1].balance_date == day else None
    earlier = existing if row is None else existing[:-1]
    opening = earlier[-1].closing_cents if earlier else opening_cash_cents
    after = _moved(org_id, property_id, day, row, movement, opening, None)
    return [after] if after is not None and after is not row else []


def _moved(
    org_id: int,
    property_id: int,
    day: date,
    row: Balance | None,
    movement: Movement | None,
    opening: int,
    newest: Movement | None,
) -> Balance | None:
    """The day with its new opening, movements and count; the very same row, or none, when none of them changes it."""
    if (movement is None or movement.moves_nothing) and (row is None or row.opening_cents == opening):
        return row
    blame = movement or newest
    before = row.figures if row is not None else NOTHING
    count = row.declared_closing_cents if row is not None else None
    if movement is not None and movement.count is not None:
        count = movement.count.cents
    return Balance(
        org_id=org_id,
        property_id=property_id,
        balance_date=day,
        version=row.version + 1 if row is not None else 1,
        opening_cents=opening,
        figures=before.plus(movement.figures) if movement is not None else before,
        declared_closing_cents=count,
        last_event_id=blame.event_id if blame is not None else None,
        cause=movement.cause if movement is not None else "carry_forward",
        traceparent=blame.traceparent if blame is not None else None,
    )
