"""A property by day: what transactions and adjustments move, and the opening carried from day to day."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from operator import add
from typing import NamedTuple

from pipeline.oracle.books import PropertyKey, Stored, contribution_cents
from pipeline.oracle.movements import COLUMN, DayKey, Movements


class Figures(NamedTuple):
    """A day of a property, in cents."""

    opening_balance_cents: int
    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int
    calculated_closing_balance_cents: int
    declared_closing_cents: int | None
    closing_balance_cents: int
    balance_discrepancy_cents: int


Days = Mapping[date, Movements]


def movements(newest: Iterable[Stored], adjusted: Mapping[DayKey, Movements]) -> dict[PropertyKey, Days]:
    """By property and day, what the newest versions of transactions contribute, and corrections have added to that.

    Days of zeros are left out.
    """
    sums: defaultdict[PropertyKey, defaultdict[date, list[int]]]
    sums = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    for stored in newest:
        event, content = stored.event, stored.event.content
        column = COLUMN[event.aggregate_type, content.payment_mode]
        sums[event.org_id, content.property_id][stored.balance_date][column] += contribution_cents(stored)
    for (org_id, property_id, day), change in adjusted.items():
        sums[org_id, property_id][day] = list(map(add, sums[org_id, property_id][day], change))
    return {key: {day: Movements(*cents) for day, cents in days.items() if any(cents)} for key, days in sums.items()}


def by_property(counted: Mapping[DayKey, int]) -> dict[PropertyKey, dict[date, int]]:
    """Counted closings of days, apart for each property."""
    found: dict[PropertyKey, dict[date, int]] = {}
    for (org_id, property_id, day), cents in counted.items():
        found.setdefault((org_id, property_id), {})[day] = cents
    return found


def carry(days: Days, opening_cash_cents: int, declared: Mapping[date, int]) -> Iterator[tuple[date, Figures]]:
    """The figures of each day, oldest first.

    The first day opens with the property's opening cash, each later one with the closing of the one before.
    The closing is what was counted (`declared`) where somebody counted, else what was calculated.
    """
    opening = opening_cash_cents
    for day in sorted(days):
        moved = days[day]
        calculated = opening + moved.cash_received_cents - moved.cash_expenses_cents
        counted = declared.get(day)
        closing = calculated if counted is None else counted
        yield day, Figures(opening, *moved, calculated, counted, closing, closing - calculated)
        opening = closing
