"""A property by day: movements summed from transactions, and the opening carried from day to day."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Final, NamedTuple

from pipeline.oracle.fold import PropertyKey, Stored, contribution_cents


class Movements(NamedTuple):
    """What came and went on a day, in cents."""

    cash_received_cents: int = 0
    bank_received_cents: int = 0
    cash_expenses_cents: int = 0
    bank_expenses_cents: int = 0


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
DayKey = tuple[int, int, date]  # org, property, balance date
NOTHING: Final = Movements()

_COLUMN: Final = {
    ("revenue", "cash"): 0,
    ("revenue", "bank"): 1,
    ("expense", "cash"): 2,
    ("expense", "bank"): 3,
}


def movements(newest: Iterable[Stored]) -> dict[PropertyKey, Days]:
    """By property and day, what the newest versions of transactions contribute; days of zeros left out."""
    sums: defaultdict[PropertyKey, defaultdict[date, list[int]]]
    sums = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    for stored in newest:
        event, content = stored.event, stored.event.content
        column = _COLUMN[event.aggregate_type, content.payment_mode]
        sums[event.org_id, content.property_id][stored.balance_date][column] += contribution_cents(stored)
    return {key: {day: Movements(*cents) for day, cents in days.items() if any(cents)} for key, days in sums.items()}


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
