"""What comes and goes on a day."""

from datetime import date
from typing import Final, NamedTuple

DayKey = tuple[int, int, date]  # org, property, balance date


class Movements(NamedTuple):
    """What came and went on a day, in cents; of an adjustment, by how much that changed."""

    cash_received_cents: int = 0
    bank_received_cents: int = 0
    cash_expenses_cents: int = 0
    bank_expenses_cents: int = 0

    def plus(self, other: "Movements") -> "Movements":
        """The sum, column by column."""
        return Movements(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])

    def minus(self, other: "Movements") -> "Movements":
        """What must be added to `other` to make this."""
        return Movements(self[0] - other[0], self[1] - other[1], self[2] - other[2], self[3] - other[3])


NOTHING: Final = Movements()

COLUMN: Final = {
    ("revenue", "cash"): 0,
    ("revenue", "bank"): 1,
    ("expense", "cash"): 2,
    ("expense", "bank"): 3,
}


def moved(aggregate_type: str, payment_mode: str, cents: int) -> Movements:
    """The cents in the column of their kind and mode."""
    columns = [0, 0, 0, 0]
    columns[COLUMN[aggregate_type, payment_mode]] = cents
    return Movements(*columns)
