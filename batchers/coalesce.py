"""From changed transactions to net movements: many events of a day become one change of its balance."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID

from batchers.decide import Change, Snapshot
from batchers.properties import PropertyKey
from schemas.records import AggregateKey


class Figures(NamedTuple):
    """The four movements of a day, in cents."""

    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int

    def plus(self, other: "Figures") -> "Figures":
        return Figures(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])


NOTHING = Figures(0, 0, 0, 0)

_COLUMN = {
    ("revenue", "cash"): 0,
    ("revenue", "bank"): 1,
    ("expense", "cash"): 2,
    ("expense", "bank"): 3,
}


@dataclass(frozen=True, slots=True)
class Movement:
    """What a batch moves on one day, and the newest event that moved it."""

    figures: Figures
    sequence: int
    event_id: UUID


Movements = dict[PropertyKey, dict[date, Movement]]


def coalesce(changes: Iterable[tuple[AggregateKey, Change]]) -> Movements:
    """The net movement of every day that the changed transactions touch; days that net to nothing are left out."""
    sums: dict[PropertyKey, dict[date, list[int]]] = {}
    newest: dict[tuple[PropertyKey, date], Change] = {}
    for key, change in changes:
        for state, sign in ((change.before, -1), (change.after, 1)):
            if state is None or state.contribution_cents == 0:
                continue
            property_key = (key[0], state.property_id)
            _add(sums.setdefault(property_key, {}), key, state, sign)
            day = (property_key, state.balance_date)
            if day not in newest or newest[day].sequence < change.sequence:
                newest[day] = change
    movements: Movements = {}
    for property_key, days in sums.items():
        moved = {
            day: Movement(Figures(*figures), change.sequence, change.record.event.event_id)
            for day, figures in days.items()
            if any(figures)
            for change in (newest[property_key, day],)
        }
        if moved:
            movements[property_key] = moved
    return movements


def _add(days: dict[date, list[int]], key: AggregateKey, state: Snapshot, sign: int) -> None:
    figures = days.setdefault(state.balance_date, [0, 0, 0, 0])
    figures[_COLUMN[key[1], state.payment_mode]] += sign * state.contribution_cents
