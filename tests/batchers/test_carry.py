"""Carry-forward against a recomputation from nothing, and the cases worked by hand."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from batchers.carry import Balance, carry
from batchers.coalesce import NOTHING, Figures, Movement

D1, D2, D3, D4 = (date(2026, 3, 10) + timedelta(days=n) for n in range(4))
OLD_EVENT = UUID(int=99)


def received(cents: int, sequence: int = 0) -> Movement:
    return Movement(Figures(cents, 0, 0, 0), sequence, UUID(int=sequence))


def row(
    day: date, opening: int, cash: int = 0, *, declared: int | None = None, version: int = 1, spent: int = 0
) -> Balance:
    return Balance(1, 1, day, version, opening, Figures(cash, 0, spent, 0), declared, OLD_EVENT)


def moved(rows: Sequence[Balance], movements: Mapping[date, Movement], opening_cash: int = 0) -> list[Balance]:
    return carry(1, 1, rows, movements, opening_cash)


def brief(rows: Sequence[Balance]) -> list[tuple[date, int, int, int, int]]:
    """Day, version, opening, closing, discrepancy."""
    return [
        (row.balance_date, row.version, row.opening_cents, row.closing_cents, row.discrepancy_cents) for row in rows
    ]


# --- worked by hand ---


def test_a_late_event_before_a_counted_day_shows_as_its_discrepancy_and_goes_no_further() -> None:
    """Opening 0, D1 +100, D2 counted 90: then +20 comes late for D1, and D3 still opens at 90."""
    days = [row(D1, 0, 100), row(D2, 100, declared=90), row(D3, 90, 5)]
    assert [day.discrepancy_cents for day in days] == [0, -10, 0]
    changed = moved(days, {D1: received(20)})
    assert brief(changed) == [(D1, 2, 0, 120, 0), (D2, 2, 120, 90, -30)]


def test_without_a_count_a_late_event_reaches_every_later_day() -> None:
    days = [row(D1, 0, 100), row(D2, 100, version=7), row(D4, 100, 5, version=3)]
    assert brief(moved(days, {D1: received(20)})) == [(D1, 2, 0, 120, 0), (D2, 8, 120, 120, 0), (D4, 4, 120, 125, 0)]


def test_the_first_day_opens_with_the_opening_cash_and_the_next_with_its_closing() -> None:
    changed = moved([], {D1: received(5), D3: received(7)}, opening_cash=1000)
    assert brief(changed) == [(D1, 1, 1000, 1005, 0), (D3, 1, 1005, 1012, 0)]


def test_a_day_opens_with_the_latest_earlier_row_not_with_the_opening_cash() -> None:
    assert brief(moved([row(D1, 0, 100)], {D4: received(1)}, opening_cash=1000)) == [(D4, 1, 100, 101, 0)]


def test_a_new_day_between_two_others_moves_the_later_one() -> None:
    days = [row(D1, 0, 100), row(D3, 100, 1)]
    assert brief(moved(days, {D2: received(20)})) == [(D2, 1, 100, 120, 0), (D3, 2, 120, 121, 0)]


def test_a_new_first_day_moves_the_days_that_followed_the_opening_cash() -> None:
    assert brief(moved([row(D2, 50, 1)], {D1: received(20)}, 50)) == [(D1, 1, 50, 70, 0), (D2, 2, 70, 71, 0)]


def test_bank_money_moves_its_figure_and_no_cash() -> None:
    changed = moved([row(D1, 0, 100), row(D2, 100)], {D1: Movement(Figures(0, 40, 0, 30), 0, OLD_EVENT)})
    assert [(day.figures, day.closing_cents) for day in changed] == [(Figures(100, 40, 0, 30), 100)]


def test_cash_expenses_lower_the_closing_also_below_zero() -> None:
    changed = moved([row(D1, 0, 10)], {D1: Movement(Figures(0, 0, 30, 0), 0, OLD_EVENT)})
    assert brief(changed) == [(D1, 2, 0, -20, 0)]


def test_the_day_before_the_movement_only_opens_it() -> None:
    assert [day.balance_date for day in moved([row(D1, 0, 100), row(D2, 100)], {D2: received(1)})] == [D2]


def test_movements_on_two_days_that_cancel_leave_the_days_after_them_alone() -> None:
    days = [row(D1, 0, 100), row(D2, 100, 0), row(D3, 100, 50), row(D4, 150)]
    changed = moved(days, {D1: received(20), D3: received(-20)})
    assert [(day.balance_date, day.version) for day in changed] == [(D1, 2), (D2, 2), (D3, 2)]


def test_a_counted_day_between_two_movements_shields_only_the_days_up_to_the_second() -> None:
    days = [row(D1, 0, 100), row(D2, 100, declared=80), row(D3, 80), row(D4, 80)]
    changed = moved(days, {D1: received(20, 0), D4: received(3, 1)})
    assert brief(changed) == [(D1, 2, 0, 120, 0), (D2, 2, 120, 80, -40), (D4, 2, 80, 83, 0)]


# --- who caused it ---


def test_carried_days_name_the_newest_event_before_them_and_say_that_they_were_carried() -> None:
    days = [row(D1, 0), row(D2, 0), row(D4, 0)]
    changed = moved(days, {D1: received(1, 8), D3: received(1, 5)})
    assert [(day.balance_date, day.cause == "carry_forward", day.last_event_id) for day in changed] == [
        (D1, False, UUID(int=8)),
        (D2, True, UUID(int=8)),
        (D3, False, UUID(int=5)),
        (D4, True, UUID(int=8)),
    ]


# --- against a recomputation from nothing ---

DAYS = [D1 + timedelta(days=n) for n in range(7)]
cents = st.integers(-50, 50)
figures = st.builds(Figures, cents, cents, cents, cents)
counts = st.none() | st.integers(-30, 30)
rows_of_days = st.dictionaries(st.sampled_from(DAYS), st.tuples(figures, counts, st.integers(1, 9)))
moving = figures.filter(any)
movements_of_days = st.dictionaries(st.sampled_from(DAYS), moving, min_size=1)
openings = st.integers(-100, 100)


def recomputed(
    days: Mapping[date, tuple[Figures, int | None, int]], opening_cash: int
) -> dict[date, tuple[int, Figures, int | None, int]]:
    """Each day from the first: opening, figures, declared closing, closing."""
    result = {}
    opening = opening_cash
    for day, (moves, declared, _) in sorted(days.items()):
        calculated = opening + moves.cash_received_cents - moves.cash_expenses_cents
        closing = calculated if declared is None else declared
        result[day] = (opening, moves, declared, closing)
        opening = closing
    return result


def as_rows(days: Mapping[date, tuple[Figures, int | None, int]], opening_cash: int) -> list[Balance]:
    return [
        Balance(1, 1, day, days[day][2], opening, moves, declared, OLD_EVENT)
        for day, (opening, moves, declared, _) in recomputed(days, opening_cash).items()
    ]


def from_before(rows: Sequence[Balance], first: date) -> list[Balance]:
    """The rows that the books read: the latest one before the first movement, and those from it on."""
    start = max((row.balance_date for row in rows if row.balance_date < first), default=first)
    return [row for row in rows if row.balance_date >= start]


@given(rows_of_days, movements_of_days, openings)
def test_carrying_equals_recomputing_every_day(
    days: dict[date, tuple[Figures, int | None, int]], moves: dict[date, Figures], opening_cash: int
) -> None:
    before = {row.balance_date: row for row in as_rows(days, opening_cash)}
    movements = {day: Movement(figures, 0, OLD_EVENT) for day, figures in moves.items()}
    changed = moved(from_before(list(before.values()), min(moves)), movements, opening_cash)
    expected = dict(days)
    for day, figures in moves.items():
        old, declared, version = days.get(day, (NOTHING, None, 0))
        expected[day] = (Figures(*(a + b for a, b in zip(old, figures, strict=True))), declared, version)
    after = before | {row.balance_date: row for row in changed}
    assert {
        day: (row.opening_cents, row.figures, row.declared_closing_cents, row.closing_cents)
        for day, row in after.items()
    } == recomputed(expected, opening_cash)
    # Versions: one more for what changed, nothing else among the changed.
    assert [row.balance_date for row in changed] == sorted(
        day
        for day, row in after.items()
        if day not in before or (row.opening_cents, row.figures) != (before[day].opening_cents, before[day].figures)
    )
    assert {row.balance_date: row.version for row in changed} == {
        row.balance_date: days.get(row.balance_date, (NOTHING, None, 0))[2] + 1 for row in changed
    }
    assert all(row.discrepancy_cents == row.closing_cents - row.calculated_closing_cents for row in changed)
    assert {row.balance_date for row in changed if row.cause != "carry_forward"} == moves.keys()


@given(rows_of_days, movements_of_days, openings, st.sets(st.sampled_from(DAYS)))
def test_an_absent_day_equals_a_day_without_movements_or_count(
    days: dict[date, tuple[Figures, int | None, int]],
    moves: dict[date, Figures],
    opening_cash: int,
    empty: set[date],
) -> None:
    movements = {day: Movement(figures, 0, OLD_EVENT) for day, figures in moves.items()}
    with_empty: dict[date, tuple[Figures, int | None, int]] = dict.fromkeys(empty, (NOTHING, None, 1)) | days

    def figures_after(given_days: dict[date, tuple[Figures, int | None, int]]) -> dict[date, tuple[int, int]]:
        rows = as_rows(given_days, opening_cash)
        after = rows + moved(from_before(rows, min(moves)), movements, opening_cash)
        return {row.balance_date: (row.opening_cents, row.closing_cents) for row in after}

    sparse, dense = figures_after(days), figures_after(with_empty)
    assert {day: dense[day] for day in sparse} == sparse
