"""What the hotels' drawers should hold: the trading day as the hotels themselves keep it, transaction by transaction.

The same sums as in the books, from what was sent alone; so a count of a drawer agrees with the books but for what a
person miscounted, and for what is booked on the day after its count.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final

from pipeline.simulator.hotels import Hotel, Org
from pipeline.simulator.plan import Opening, Plan
from pipeline.simulator.transactions import Transaction
from pipeline.simulator.wire import DAY_MS, OFFSET_MS, day_number

# Bounded, since a plan may name ten million organisations: later hotels neither count nor restate. About 8 MB.
_TILLS_MAX: Final = 1 << 14
# Draws before we believe that every drawer is overdrawn.
_DRAWS_MAX: Final = 8
_NEVER: Final = -1
_NO_OPENING: Final = Opening()

CASH_RECEIVED: Final = 0
BANK_RECEIVED: Final = 1
CASH_EXPENSES: Final = 2
BANK_EXPENSES: Final = 3


@dataclass(slots=True)
class Till:
    """A hotel on its trading day. `figures` are the four movements of that day, in the order of the constants."""

    org: Org
    hotel: Hotel
    opening_cents: int
    counted_through: int  # number of a day: what happened up to it does not move the opening any more
    figures: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    counted_cents: int | None = None

    @property
    def calculated_cents(self) -> int:
        """What the drawer should hold."""
        return self.opening_cents + self.figures[CASH_RECEIVED] - self.figures[CASH_EXPENSES]

    def next_day(self, day: int) -> None:
        """The day before `day` is over: it closes with its count, or with what was calculated."""
        if self.counted_cents is not None:
            self.counted_through = day - 1
        self.opening_cents = self.calculated_cents if self.counted_cents is None else self.counted_cents
        self.figures = [0, 0, 0, 0]
        self.counted_cents = None


class Tills:
    """The drawers of all hotels that trade, one day after the other; `day` is the number of the one that is open."""

    def __init__(self, plan: Plan) -> None:
        self.day = day_number(plan.day)
        self._openings = plan.openings
        self._tills: dict[int, Till] = {}
        self._all: list[Till] = []
        self._uncounted: list[Till] = []

    def book(self, transaction: Transaction) -> None:
        """The transaction as it is now counts."""
        self._move(transaction, transaction.amount_cents)

    def unbook(self, transaction: Transaction) -> None:
        """The transaction as it is now counts no longer: it will be another one."""
        self._move(transaction, -transaction.amount_cents)

    def open(self, day: int) -> None:
        """A day begins; one that is over is not opened again."""
        if day > self.day:
            for till in self._all:
                till.next_day(day)
            self.day = day
            self._uncounted = list(self._all)

    def any(self, dice: Random) -> Till | None:
        """A hotel that traded."""
        return self._all[int(dice.random() * len(self._all))] if self._all else None

    def uncounted(self, dice: Random) -> Till | None:
        """A hotel whose drawer is counted now; when all have counted, the next shift begins to count again."""
        for _ in range(_DRAWS_MAX):
            if not self._uncounted:
                self._uncounted = list(self._all)
            if not self._uncounted:
                return None
            index = int(dice.random() * len(self._uncounted))
            self._uncounted[index], self._uncounted[-1] = self._uncounted[-1], self._uncounted[index]
            # Nobody can count less than nothing: a drawer that is overdrawn by the books waits for its receipts.
            if self._uncounted[-1].calculated_cents >= 0:
                return self._uncounted.pop()
        return None

    def _move(self, transaction: Transaction, cents: int) -> None:
        if transaction.status != "approved":
            return
        till = self._tills.get(transaction.hotel.property_id) or self._new(transaction)
        if till is None:
            return
        cash, expense = transaction.mode == "cash", transaction.category.kind == "expense"
        day = (transaction.occurred_ms + OFFSET_MS) // DAY_MS
        if day > self.day:
            self.open(day)
        if day == self.day:
            till.figures[expense * 2 + (not cash)] += cents
        elif cash and day > till.counted_through:
            till.opening_cents += -cents if expense else cents

    def _new(self, transaction: Transaction) -> Till | None:
        if len(self._all) >= _TILLS_MAX:
            return None
        org, hotel = transaction.org, transaction.hotel
        opening = self._openings.get((org.org_id, hotel.property_id), _NO_OPENING)
        counted_through = _NEVER if opening.counted_on is None else day_number(opening.counted_on)
        till = Till(org, hotel, opening.closing_cents, counted_through, list(opening.figures))
        self._tills[hotel.property_id] = till
        self._all.append(till)
        self._uncounted.append(till)
        return till
