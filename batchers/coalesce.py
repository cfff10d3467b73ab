"""From changed transactions to net movements: many events of a day become one change of its balance."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from batchers.decide import Change, Snapshot
from schemas.records import AggregateKey, PropertyKey
from schemas.traceparent import traceparent_of
from schemas.updates import Cause


class Figures(NamedTuple):
    """The four movements of a day, in cents."""

    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int

    def plus(self, other: "Figures") -> "Figures":
        return Figures(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])

    def minus(self, other: "Figures") -> "Figures":
        return Figures(self[0] - other[0], self[1] - other[1], self[2] - other[2], self[3] - other[3])


NOTHING = Figures(0, 0, 0, 0)

_COLUMN = {
    ("revenue", "cash"): 0,
    ("revenue", "bank"): 1,
    ("expense", "cash"): 2,
    ("expense", "bank"): 3,
}


class Count(Struct, frozen=True, gc=False):
    """What a day's count becomes; None: it is withdrawn."""

    cents: int | None


class Movement(Struct, frozen=True, gc=False):
    """What a batch moves on one day, and the newest event, or correction, that moved it."""

    figures: Figures
    sequence: int
    event_id: UUID
    cause: Cause = "event"
    count: Count | None = None  # None: the day's count stays as it is
    traceparent: str | None = None  # of the newest


Movements = dict[PropertyKey, dict[date, Movement]]


class _Day:
    """What gathers on one day while the changes are summed up."""

    __slots__ = ("figures", "newest")

    def __init__(self, newest: Change) -> None:
        self.figures = [0, 0, 0, 0]
        self.newest = newest

    def movement(self) -> Movement:
        record = self.newest.record
        return Movement(
            Figures(*self.figures),
            self.newest.sequence,
            record.event.event_id,
            traceparent=traceparent_of(record.origin.headers),
        )


def coalesce(changes: Iterable[tuple[AggregateKey, Change]]) -> Movements:
    """The net movement of every day that the changed transactions touch; days that net to nothing are left out."""
    properties: dict[PropertyKey, dict[date, _Day]] = {}
    for key, change in changes:
        if change.before is not None:
            _add(properties, key, change, change.before, -1)
        _add(properties, key, change, change.after, 1)
    movements: Movements = {}
    for property_key, days in properties.items():
        moved = {at: day.movement() for at, day in days.items() if any(day.figures)}
        if moved:
            movements[property_key] = moved
    return movements


def _add(
    properties: dict[PropertyKey, dict[date, _Day]], key: AggregateKey, change: Change, state: Snapshot, sign: int
) -> None:
    contribution = state.contribution_cents
    if contribution == 0:
        return
    days = properties.setdefault((key[0], state.property_id), {})
    day = days.get(state.balance_date)
    if day is None:
        day = days[state.balance_date] = _Day(change)
    elif day.newest.sequence < change.sequence:
        day.newest = change
    day.figures[_COLUMN[key[1], state.payment_mode]] += sign * contribution
