"""Corrections on top of events: the cases worked by hand. Every interleaving of them is in `test_histories.py`."""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET

from batchers.carry import Balance, carry
from batchers.coalesce import NOTHING, Figures, Movement, Movements
from batchers.correct import Booked, DayKey, correct, day_of, recomputed_days
from schemas.records import AcceptedCorrection
from schemas.topics import Feed
from tests.support.events import Offsets

D1, D2, D3 = (date(2026, 3, day) for day in (1, 2, 3))
KEY = (1, 1)


def received(cents: int, sequence: int = 0) -> Movement:
    return Movement(Figures(cents, 0, 0, 0), sequence, UUID(int=sequence + 1))


class Property:
    """The days of one property, changed batch by batch as the transaction does it."""

    def __init__(self) -> None:
        self.rows: dict[date, Balance] = {}
        self.adjustments: list[tuple[date, Figures, Figures]] = []
        self.booked: dict[DayKey, Figures] = {}  # what transactions and adjustments say
        self.counts: dict[DayKey, int | None] = {}  # as last declared
        self._desk = Offsets(feed=Feed.CORRECTIONS)

    def correction(self, day: date, **what: Any) -> AcceptedCorrection:
        return self._desk.correction(day=day, **what)

    def batch(self, movements: dict[date, Movement], *corrections: AcceptedCorrection) -> list[Balance]:
        """Bring the books past one batch; the rows that it changes."""
        existing = {KEY: [self.rows[day] for day in sorted(self.rows)]}
        moved: Movements = {KEY: movements} if movements else {}
        for day, movement in movements.items():
            self._book(day, movement.figures)
        booked = {
            day: Booked(self.booked.get(day, NOTHING), self.counts.get(day)) for day in recomputed_days(corrections)
        }
        corrected, adjustments = correct(moved, corrections, existing, booked, first_sequence=len(movements))
        for each in adjustments:
            day = each.record.correction.balance_date
            self.adjustments.append((day, each.before, each.after))
            self._book(day, each.after.minus(each.before))
        changed = [row for key, days in corrected.items() for row in carry(*key, existing[KEY], days, 0)]
        self.rows |= {row.balance_date: row for row in changed}
        for record in corrections:
            if record.correction.declared_closing_cents is not UNSET:
                self.counts[day_of(record)] = record.correction.declared_closing_cents
        return changed

    def _book(self, day: date, figures: Figures) -> None:
        key = (*KEY, day)
        self.booked[key] = self.booked.get(key, NOTHING).plus(figures)

    def says(self, day: date) -> tuple[int, int, int]:
        """Opening, closing and discrepancy of a day."""
        row = self.rows[day]
        return row.opening_cents, row.closing_cents, row.discrepancy_cents


def test_the_worked_case() -> None:
    """A count stops the carry: what comes late before it is its discrepancy; withdrawn, it is carried on."""
    books = Property()
    books.batch({D1: received(100)})
    books.batch({}, books.correction(D2, declared=90))
    assert books.says(D2) == (100, 90, -10)
    books.batch({D3: received(1)})
    assert books.says(D3) == (90, 91, 0)
    books.batch({D1: received(20)})
    assert books.says(D2) == (120, 90, -30)
    assert books.says(D3) == (90, 91, 0)
    books.batch({}, books.correction(D2, declared=None))
    assert books.says(D2) == (120, 120, 0)
    assert books.says(D3) == (120, 121, 0)


def test_figures_become_the_stated_ones_and_leave_the_difference_for_ever() -> None:
    books = Property()
    books.batch({D1: received(100)})
    (row,) = books.batch({}, books.correction(D1, figures=(80, 5, 0, 0)))
    assert row.figures == (80, 5, 0, 0)
    assert (row.version, row.cause) == (2, "correction")
    assert books.adjustments == [(D1, Figures(100, 0, 0, 0), Figures(80, 5, 0, 0))]
    books.batch({D1: received(7)})  # later events post on top
    assert books.rows[D1].figures == (87, 5, 0, 0)


def test_of_several_in_one_batch_the_last_word_counts_and_no_adjustment_is_lost() -> None:
    books = Property()
    (row,) = books.batch(
        {D1: received(100)},
        books.correction(D1, figures=(1, 0, 0, 0)),
        books.correction(D1, declared=50),
        books.correction(D1, figures=(2, 0, 0, 0)),
        books.correction(D1, declared=60),
    )
    assert (row.version, row.figures, row.declared_closing_cents) == (1, (2, 0, 0, 0), 60)
    assert [(before[0], after[0]) for _, before, after in books.adjustments] == [(100, 1), (1, 2)]


def test_a_correction_is_named_by_the_rows_that_it_changes() -> None:
    books = Property()
    books.batch({D1: received(10), D2: received(10)})
    record = books.correction(D1, figures=(11, 0, 0, 0))
    first, carried = books.batch({}, record)
    assert (first.cause, first.last_event_id) == ("correction", record.correction.correction_id)
    assert (carried.cause, carried.last_event_id) == ("carry_forward", record.correction.correction_id)


@pytest.mark.parametrize("what", [{"figures": (0, 0, 0, 0)}, {"declared": None}, {}])
def test_what_changes_nothing_makes_no_row_and_no_version(what: dict[str, Any]) -> None:
    books = Property()
    assert books.batch({}, books.correction(D1, **what)) == []
    books.batch({D1: received(5)})
    figures = {"figures": (5, 0, 0, 0)} if "figures" in what else what
    assert books.batch({}, books.correction(D1, **figures)) == []
    assert books.rows[D1].version == 1


def test_figures_that_take_back_what_the_events_of_the_batch_moved_change_nothing() -> None:
    books = Property()
    books.batch({D1: received(100)})
    assert books.batch({D1: received(20)}, books.correction(D1, figures=(100, 0, 0, 0))) == []
    assert books.adjustments == [(D1, Figures(120, 0, 0, 0), Figures(100, 0, 0, 0))]


def test_a_count_of_an_empty_day_makes_its_row() -> None:
    books = Property()
    (row,) = books.batch({}, books.correction(D1, declared=90))
    assert (row.opening_cents, row.figures, row.closing_cents, row.discrepancy_cents) == (0, NOTHING, 90, 90)


def test_recompute_brings_back_what_transactions_and_adjustments_say() -> None:
    books = Property()
    books.batch({D1: received(100)}, books.correction(D1, figures=(90, 0, 0, 0)))
    drifted = Figures(55, 0, 0, 3)
    books.rows[D1] = Balance(1, 1, D1, 1, 0, drifted, None, None)
    (row,) = books.batch({}, books.correction(D1))
    assert (row.figures, row.version) == ((90, 0, 0, 0), 2)
    assert len(books.adjustments) == 1  # it weighs nothing itself
    assert books.batch({}, books.correction(D1)) == []


def test_recompute_brings_back_the_count_and_the_opening_and_what_follows_from_them() -> None:
    books = Property()
    books.batch({D1: received(100)}, books.correction(D2, declared=90))
    books.batch({D3: received(1)})
    right = dict(books.rows)
    books.rows[D2] = msgspec.structs.replace(right[D2], opening_cents=7, declared_closing_cents=50)
    books.rows[D3] = msgspec.structs.replace(right[D3], opening_cents=50)
    (counted, later) = books.batch({}, books.correction(D2))
    assert (counted.opening_cents, counted.declared_closing_cents, counted.version) == (100, 90, 2)
    assert (later.opening_cents, later.cause, later.version) == (90, "carry_forward", 2)


def test_recompute_brings_back_an_opening_where_nothing_else_is_wrong() -> None:
    books = Property()
    books.batch({D1: received(100), D2: received(5)})
    books.rows[D1] = msgspec.structs.replace(books.rows[D1], opening_cents=7)
    books.rows[D2] = msgspec.structs.replace(books.rows[D2], opening_cents=107)
    first, second = books.batch({}, books.correction(D1))
    assert (first.opening_cents, first.version, first.cause) == (0, 2, "correction")
    assert (second.opening_cents, second.version, second.cause) == (100, 2, "carry_forward")
    assert books.batch({}, books.correction(D1), books.correction(D2)) == []


def test_recompute_brings_back_a_row_that_was_lost() -> None:
    books = Property()
    books.batch({D1: received(100), D2: received(5)}, books.correction(D2, declared=90))
    del books.rows[D2]
    (row,) = books.batch({}, books.correction(D2))
    assert (row.opening_cents, row.figures, row.declared_closing_cents) == (100, (5, 0, 0, 0), 90)


def test_a_count_of_the_same_batch_is_newer_than_the_one_that_is_stored() -> None:
    books = Property()
    books.batch({}, books.correction(D1, declared=90))
    (row,) = books.batch({}, books.correction(D1, declared=80), books.correction(D1))
    assert row.declared_closing_cents == 80


def test_recompute_knows_the_adjustments_of_its_own_batch() -> None:
    books = Property()
    books.batch(
        {D1: received(100)},
        books.correction(D1, figures=(70, 0, 0, 0)),
        books.correction(D1),
        books.correction(D1, figures=(60, 0, 0, 0)),
        books.correction(D1),
    )
    assert books.rows[D1].figures == (60, 0, 0, 0)
