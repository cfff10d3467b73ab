"""Many changed transactions of a day are one movement of its balance."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from batchers.coalesce import NOTHING, Figures, Movement, coalesce
from batchers.decide import Change
from schemas.records import Accepted, AggregateKey
from tests.support.events import NOON, Offsets
from tests.support.memory_books import MemoryBooks

TODAY, TOMORROW = date(2026, 3, 10), date(2026, 3, 11)
NEXT_DAY = NOON + timedelta(days=1)


def changes_of(*batches: list[Accepted]) -> Mapping[AggregateKey, Change]:
    """What the last of some batches changed."""
    books = MemoryBooks()
    *earlier, last = batches
    books.commit_in(earlier)
    return books.commit(last).changes


def figures_of(changes: Mapping[AggregateKey, Change]) -> dict[tuple[int, int], dict[date, Figures]]:
    return {
        key: {day: movement.figures for day, movement in days.items()}
        for key, days in coalesce(changes.items()).items()
    }


@pytest.mark.parametrize(
    ("kind", "mode", "figures"),
    [
        ("revenue", "cash", Figures(7, 0, 0, 0)),
        ("revenue", "bank", Figures(0, 7, 0, 0)),
        ("expense", "cash", Figures(0, 0, 7, 0)),
        ("expense", "bank", Figures(0, 0, 0, 7)),
    ],
)
def test_money_goes_to_the_column_of_its_kind_and_mode(kind: str, mode: str, figures: Figures) -> None:
    changes = changes_of([Offsets().event(kind=kind, mode=mode, amount=7)])
    assert figures_of(changes) == {(1, 1): {TODAY: figures}}


@pytest.mark.parametrize("status", ["pending", "rejected", "deleted"])
def test_only_approved_money_counts(status: str) -> None:
    verb = "updated" if status == "rejected" else None
    assert coalesce(changes_of([Offsets().event(version=1, status=status, verb=verb)]).items()) == {}


def test_transactions_of_a_day_add_up() -> None:
    lane = Offsets()
    batch = [lane.event(number, amount=10**number) for number in range(4)[1:]] + [
        lane.event(9, kind="expense", amount=5),
        lane.event(10, org=2, amount=3),
        lane.event(11, property_=2, amount=4),
    ]
    assert figures_of(changes_of(batch)) == {
        (1, 1): {TODAY: Figures(1110, 0, 5, 0)},
        (2, 1): {TODAY: Figures(3, 0, 0, 0)},
        (1, 2): {TODAY: Figures(4, 0, 0, 0)},
    }


def test_a_newer_version_adds_the_difference() -> None:
    lane = Offsets()
    changes = changes_of([lane.event(amount=100)], [lane.event(version=2, amount=70)])
    assert figures_of(changes) == {(1, 1): {TODAY: Figures(-30, 0, 0, 0)}}


def test_several_versions_in_a_batch_count_once_as_the_newest() -> None:
    lane = Offsets()
    batch = [lane.event(version=version, amount=amount) for version, amount in ((1, 5), (3, 70), (2, 1000))]
    assert figures_of(changes_of(batch)) == {(1, 1): {TODAY: Figures(70, 0, 0, 0)}}


@pytest.mark.parametrize(
    ("moved", "there"),
    [
        ({"at": NEXT_DAY}, {(1, 1): {TODAY: Figures(-9, 0, 0, 0), TOMORROW: Figures(9, 0, 0, 0)}}),
        ({"property_": 2}, {(1, 1): {TODAY: Figures(-9, 0, 0, 0)}, (1, 2): {TODAY: Figures(9, 0, 0, 0)}}),
        ({"mode": "bank"}, {(1, 1): {TODAY: Figures(-9, 9, 0, 0)}}),
        ({"status": "deleted"}, {(1, 1): {TODAY: Figures(-9, 0, 0, 0)}}),
    ],
)
def test_what_moves_leaves_its_old_place_and_comes_to_its_new_one(
    moved: dict[str, object], there: dict[tuple[int, int], dict[date, Figures]]
) -> None:
    lane = Offsets()
    changes = changes_of([lane.event(amount=9)], [lane.event(version=2, **{"amount": 9, **moved})])
    assert figures_of(changes) == there


def test_a_day_that_nets_to_nothing_does_not_move() -> None:
    lane = Offsets()
    before = [lane.event(1, amount=9), lane.event(2, amount=4)]
    swap = [lane.event(1, 2, amount=4), lane.event(2, 2, amount=9)]
    assert coalesce(changes_of(before, swap).items()) == {}


def test_an_edit_that_moves_no_money_moves_nothing() -> None:
    lane = Offsets()
    assert coalesce(changes_of([lane.event()], [lane.event(version=2, description="Room 7")]).items()) == {}


def test_one_day_may_move_while_another_of_the_property_nets_to_nothing() -> None:
    lane = Offsets()
    batch = [lane.event(1, amount=9), lane.event(1, 2, status="deleted"), lane.event(2, at=NEXT_DAY, amount=4)]
    assert figures_of(changes_of(batch)) == {(1, 1): {TOMORROW: Figures(4, 0, 0, 0)}}


def test_the_newest_event_of_a_day_is_its_cause_whatever_the_order_of_keys() -> None:
    lane = Offsets()
    batch = [lane.event(2, amount=1), lane.event(3, amount=1), lane.event(1, amount=1), lane.event(4, at=NEXT_DAY)]
    movements = coalesce(reversed(list(changes_of(batch).items())))
    assert movements[1, 1][TODAY] == Movement(Figures(3, 0, 0, 0), 2, batch[2].event.event_id)
    assert movements[1, 1][TOMORROW].event_id == batch[3].event.event_id


def test_figures_add_column_by_column() -> None:
    assert Figures(1, 2, 3, 4).plus(Figures(10, 20, 30, -4)) == Figures(11, 22, 33, 0)
    assert NOTHING.plus(NOTHING) == NOTHING
