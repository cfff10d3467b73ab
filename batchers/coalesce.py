"""From changed transactions to net movements: many events of a day become one change of its balance."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, NamedTuple
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

_COLUMN: Final = {"revenue": {"cash": 0, "bank": 1}, "expense": {"cash": 2, "bank": 3}}


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

    @property
    def moves_nothing(self) -> bool:
        """Whether only the day's opening is looked at: of a day that is recomputed."""
        return self.figures == NOTHING and self.count is None


Movements = dict[PropertyKey, dict[date, Movement]]


# The movements of a day in the order of Figures, and the newest change that moved it. A list: three thousand a batch.
_Day = list[Any]
_NEWEST: Final = 4


def coalesce(changes: Iterable[tuple[AggregateKey, Change]]) -> Movements:
    """The net movement of every day that the changed transactions touch; days that net to nothing are left out."""
    days: dict[tuple[int, int, date], _Day] = {}
    for key, change in changes:
        before, after = change.before, change.after
        if before is not None and before.status == "approved":
            _add(days, key, change, before, -before.amount_cents)
        if after.status == "approved":
            _add(days, key, change, after, after.amount_cents)
    movements: Movements = {}
    for (org_id, property_id, balance_date), (*figures, newest) in days.items():
        if any(figures):
            movement = Movement(
                Figures(*figures),
                newest.sequence,
                newest.record.event.event_id,
                traceparent=traceparent_of(newest.record.origin.headers),
            )
            movements.setdefault((org_id, property_id), {})[balance_date] = movement
    return movements


def _add(
    days: dict[tuple[int, int, date], _Day], key: AggregateKey, change: Change, state: Snapshot, cents: int
) -> None:
    place = (key[0], state.property_id, state.balance_date)
    day = days.get(place)
    if day is None:
        day = days[place] = [0, 0, 0, 0, change]
    elif day[_NEWEST].sequence < change.sequence:
        day[_NEWEST] = change
    day[_COLUMN[key[1]][state.payment_mode]] += cents
