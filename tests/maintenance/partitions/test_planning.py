"""Plans, from states written by hand: what is made, what leaves, in which order, and what never does."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import pytest

from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.applying import require_archive
from pipeline.maintenance.partitions.planning import (
    ArchiveMonth,
    DetachMonth,
    DropMonth,
    Keeping,
    KeepVersions,
    MakeMonth,
    SetAside,
    only,
    plan,
)
from pipeline.maintenance.partitions.state import (
    EVENTS,
    EXPENSES,
    HASHED,
    MONTHLY,
    REVENUES,
    DefaultMonth,
    Partition,
    State,
    WaitingMonth,
)
from pipeline.months import months_after, start_of

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH = date(2026, 3, 1)
OLDEST = date(2024, 3, 1)  # that is kept for 24 months
KEEPING = Keeping(retention_months=24, months_ahead=3)


def month(table: str, first: date, rows: int = 0) -> Partition:
    name = f"{table.partition('.')[2].removesuffix('_partitioned')}_{first:%Y_%m}"
    return Partition(table, name, rows, 8_192, start_of(first), start_of(months_after(first, 1)))


def hashed() -> Iterable[Partition]:
    for table in HASHED:
        for remainder in range(16):
            yield Partition(table, f"{table}_{remainder}", 10, 8_192, modulus=16, remainder=remainder)


def months_around(back: int = 24, ahead: int = 3, around: date = MARCH) -> list[Partition]:
    """Each table with its months: the store has none of the past."""
    return [
        month(table, months_after(around, step))
        for table in MONTHLY
        for step in range(0 if table == EVENTS else -back, ahead + 1)
    ]


def state(partitions: Iterable[Partition] = (), **changes: object) -> State:
    fields = {"newest_append": NOW, **changes}
    return State((*partitions, *hashed()), **fields)  # type: ignore[arg-type]  # fields of a state, by their names


def test_when_all_months_are_there_nothing_is_to_be_done() -> None:
    assert plan(state(months_around()), NOW, KEEPING) == ()


def test_an_empty_database_gets_every_month_that_is_kept_the_present_one_first() -> None:
    steps = plan(state(newest_append=None), NOW, KEEPING)
    assert len(steps) == 28 + 28 + 4
    assert {step.table for step in steps[:3]} == MONTHLY.keys()
    assert [step.month for step in steps[:12:3]] == [months_after(MARCH, ahead) for ahead in range(4)]
    assert min(step.month for step in steps if step.table == EVENTS) == MARCH


def test_a_month_later_one_more_is_made_and_one_leaves() -> None:
    later = datetime(2026, 4, 1, tzinfo=UTC)
    steps = plan(state(months_around(), newest_append=later), later, KEEPING)
    ahead = date(2026, 7, 1)
    assert steps == (
        MakeMonth(EVENTS, ahead, 0),
        MakeMonth(EXPENSES, ahead, 0),
        MakeMonth(REVENUES, ahead, 0),
        DetachMonth(EXPENSES, OLDEST, 0, 8_192, to_archive=False),
        DropMonth(EXPENSES, OLDEST),
        DetachMonth(REVENUES, OLDEST, 0, 8_192, to_archive=False),
        DropMonth(REVENUES, OLDEST),
    )
    assert only(steps, "create") == steps[:3]
    assert only(steps, "expire") == steps[3:]
    assert only(steps, None) == steps


def test_the_last_instant_of_a_month_is_of_that_month() -> None:
    instant = datetime(2026, 3, 31, 23, 59, 59, 999999, UTC)
    assert plan(state(months_around(), newest_append=instant), instant, KEEPING) == ()


def test_a_clock_that_is_wrong_by_years_takes_nothing_away() -> None:
    wrong = datetime(2036, 3, 10, tzinfo=UTC)
    steps = plan(state(months_around()), wrong, KEEPING)
    assert {type(step) for step in steps} == {MakeMonth}


def test_books_that_have_seen_no_record_lose_nothing() -> None:
    later = datetime(2027, 3, 10, tzinfo=UTC)
    steps = plan(state(months_around(), newest_append=None), later, KEEPING)
    assert {type(step) for step in steps} == {MakeMonth}


def test_rows_in_the_default_partition_get_their_month_unless_it_is_past_retention() -> None:
    late, old, future = date(2025, 7, 1), date(2024, 2, 1), date(2027, 1, 1)
    kept = [each for each in months_around() if (each.table, each.month) != (REVENUES, late)]
    in_default = (
        DefaultMonth(REVENUES, late, 5),
        DefaultMonth(REVENUES, old, 7),
        DefaultMonth(EVENTS, future, 9),
        DefaultMonth(EVENTS, old, 2),
    )
    assert plan(state(kept, default_months=in_default), NOW, KEEPING) == (
        MakeMonth(EVENTS, future, 9),
        MakeMonth(EVENTS, old, 2),
        MakeMonth(REVENUES, late, 5),
        SetAside(REVENUES, old, 7, to_archive=False),
        DropMonth(REVENUES, old),
    )


def test_what_an_interrupted_run_left_comes_before_what_leaves_now() -> None:
    waiting = (
        WaitingMonth(REVENUES, date(2024, 1, 1), NOW, to_archive=True, archived=False),
        WaitingMonth(EXPENSES, date(2024, 1, 1), NOW, to_archive=True, archived=True),
    )
    partitions = [*months_around(), month(REVENUES, date(2023, 12, 1))]
    steps = plan(state(partitions, waiting=waiting), NOW, KEEPING)
    assert steps[:3] == (
        ArchiveMonth(REVENUES, date(2024, 1, 1)),
        DropMonth(REVENUES, date(2024, 1, 1)),
        DropMonth(EXPENSES, date(2024, 1, 1)),
    )
    assert {step.month for step in steps[3:]} == {date(2023, 12, 1)}
    with pytest.raises(SettingsRefused, match=r"archive 2024-01 of finance.revenues.*--archive"):
        require_archive(steps, None)


def test_events_leave_only_when_told_and_are_always_archived() -> None:
    old = month(EVENTS, date(2023, 1, 1))
    assert plan(state([*months_around(), old]), NOW, KEEPING) == ()
    told = Keeping(24, 3, events_months=36)
    assert plan(state([*months_around(), old]), NOW, told) == (
        KeepVersions(EVENTS, date(2023, 1, 1)),
        DetachMonth(EVENTS, date(2023, 1, 1), 0, 8_192, to_archive=True),
        ArchiveMonth(EVENTS, date(2023, 1, 1)),
        DropMonth(EVENTS, date(2023, 1, 1)),
    )


def test_transactions_are_archived_where_there_is_a_folder() -> None:
    partitions = [*months_around(), month(REVENUES, date(2024, 2, 1), rows=3)]
    steps = plan(state(partitions), NOW, Keeping(24, 3, archive=True))
    assert [type(step) for step in steps] == [DetachMonth, ArchiveMonth, DropMonth]
    assert steps[0].words == "detach 2024-02 of finance.revenues_partitioned (about 3 rows, 8,192 bytes)"


def test_a_partition_that_somebody_made_for_a_quarter_serves_and_is_left_alone() -> None:
    quarter = Partition(REVENUES, "q", 0, 0, start_of(date(2026, 4, 1)), start_of(date(2026, 7, 1)))
    kept = [each for each in months_around() if each.table != REVENUES or each.month is None or each.month <= MARCH]
    assert plan(state([*kept, quarter]), NOW, KEEPING) == ()
    far = datetime(2031, 1, 1, tzinfo=UTC)
    steps = plan(state([*kept, quarter], newest_append=far), far, KEEPING)
    left = {step.month for step in steps if isinstance(step, DetachMonth) and step.table == REVENUES}
    assert MARCH in left
    assert date(2026, 4, 1) not in left


def test_what_is_spread_by_organisation_never_leaves() -> None:
    far = datetime(2046, 1, 1, tzinfo=UTC)
    steps = plan(state(months_around(), newest_append=far), far, Keeping(24, 3, events_months=2))
    assert {step.table for step in steps} == MONTHLY.keys()
