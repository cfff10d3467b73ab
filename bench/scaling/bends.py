"""What the curves say: plain functions of the rounds."""

from collections.abc import Sequence
from typing import Final

from bench.draining import Round

BALANCES: Final = "finance.daily_cash_balances_partitioned"
# Where the rate has fallen below this share of its best, the curve has bent: more than sessions differ.
BENT_SHARE: Final = 0.8


def bend(x: Sequence[float], rates: Sequence[float]) -> float | None:
    """The first x behind the best rate at which less than 80% of it is left; None: the curve does not bend."""
    best = max(range(len(rates)), key=rates.__getitem__)
    return next((x[at] for at in range(best, len(rates)) if rates[at] < rates[best] * BENT_SHARE), None)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round: the rounds of two points that were measured in turn."""
    return [over / under for over, under in zip(above, below, strict=True)]


def balance_rows(round_: Round) -> float:
    """Balance rows written an event."""
    return sum(table.rows for table in round_.written if table.name == BALANCES) / round_.events


def carried_row_us(rounds: Sequence[Sequence[Round]]) -> float | None:
    """Microseconds of the database's CPU for each more balance row an event, over points that differ in lateness.

    The slope of the least squares through all rounds. It charges all that the database does more for late events to the
    rows that they are carried to. None where no more rows were written.
    """
    pairs = [(balance_rows(each), each.cpu_us("database")) for of_point in rounds for each in of_point]
    return slope(pairs)


def slope(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Of the least squares through (x, y); None where x does not vary."""
    mean_x = sum(x for x, _ in pairs) / len(pairs)
    mean_y = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    if spread < 1e-9:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
