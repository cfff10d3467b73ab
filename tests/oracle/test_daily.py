"""Movements by day, and the opening that is carried from day to day."""

from datetime import date, timedelta

from pipeline.oracle.daily import Figures, carry, movements
from pipeline.oracle.movements import NOTHING, Movements
from tests.oracle.builders import NOON, ORG, PROPERTY, books_of, event

DAY = [date(2026, 5, day) for day in range(1, 8)]


def closings(days: dict[date, Movements], opening: int = 0, declared: dict[date, int] | None = None) -> list[int]:
    return [figures.closing_balance_cents for _, figures in carry(days, opening, declared or {})]


def test_only_approved_money_counts_each_kind_and_mode_in_its_column() -> None:
    columns = [("revenue", "cash"), ("revenue", "bank"), ("expense", "cash"), ("expense", "bank")]
    events = [
        event(index, aggregate_type=kind, aggregate_id=index, payment_mode=mode, amount_cents=10**index)
        for index, (kind, mode) in enumerate(columns)
    ]
    others = [
        event(9 + index, aggregate_id=100 + index, status=status, amount_cents=5)
        for index, status in enumerate(("pending", "rejected", "deleted"))
    ]
    books = books_of(*events, *others)
    assert movements(books.newest.values(), {}) == {(ORG, PROPERTY): {DAY[0]: Movements(1, 10, 100, 1000)}}


def test_the_newest_version_alone_counts_where_and_when_it_says() -> None:
    books = books_of(
        event(0, amount_cents=100),
        event(1, version=2, amount_cents=70, occurred_at=NOON + timedelta(days=1), property_id=71),
        event(2, aggregate_id=2, amount_cents=5),
    )
    assert movements(books.newest.values(), {}) == {
        (ORG, PROPERTY): {DAY[0]: Movements(5)},
        (ORG, 71): {DAY[1]: Movements(70)},
    }


def test_a_deleted_transaction_leaves_no_day_behind() -> None:
    books = books_of(event(0), event(1, version=2, type="revenue.deleted", status="deleted"))
    assert movements(books.newest.values(), {}) == {(ORG, PROPERTY): {}}


def test_the_worked_case() -> None:
    """Opening 0; the first day takes in 100, the second pays 30, and then 20 more come in late for the first."""
    assert closings({DAY[0]: Movements(100)}) == [100]
    assert closings({DAY[0]: Movements(100), DAY[1]: Movements(cash_expenses_cents=30)}) == [100, 70]
    late = {DAY[0]: Movements(120), DAY[1]: Movements(cash_expenses_cents=30)}
    assert list(carry(late, 0, {})) == [
        (DAY[0], Figures(0, 120, 0, 0, 0, 120, None, 120, 0)),
        (DAY[1], Figures(120, 0, 0, 30, 0, 90, None, 90, 0)),
    ]


def test_the_first_day_opens_with_the_opening_cash_of_the_property() -> None:
    assert closings({DAY[1]: Movements(1), DAY[4]: Movements(2)}, opening=500) == [501, 503]


def test_bank_figures_are_kept_beside_the_cash() -> None:
    [(_, figures)] = carry({DAY[0]: Movements(1, 20, 3, 40)}, 0, {})
    assert figures == Figures(0, 1, 20, 3, 40, -2, None, -2, 0)


def test_a_day_of_zeros_changes_nothing() -> None:
    with_it = dict(carry({DAY[0]: Movements(5), DAY[1]: NOTHING, DAY[2]: Movements(1)}, 0, {}))
    without = dict(carry({DAY[0]: Movements(5), DAY[2]: Movements(1)}, 0, {}))
    assert with_it[DAY[2]] == without[DAY[2]]
    assert with_it[DAY[1]] == Figures(5, 0, 0, 0, 0, 5, None, 5, 0)


def test_a_counted_closing_is_what_the_next_day_opens_with() -> None:
    days = {DAY[0]: Movements(100), DAY[1]: Movements(10)}
    assert list(carry(days, 0, {DAY[0]: 90})) == [
        (DAY[0], Figures(0, 100, 0, 0, 0, 100, 90, 90, -10)),
        (DAY[1], Figures(90, 10, 0, 0, 0, 100, None, 100, 0)),
    ]
    assert closings({DAY[0]: Movements(100)}, declared={DAY[0]: 0}) == [0]
