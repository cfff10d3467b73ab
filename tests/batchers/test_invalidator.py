"""Invalidation: the newest version of each changed day becomes its floor, some properties and days at a time."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchers.invalidator import CALL_DAYS_MAX, Floors, Invalidator, bounded_calls, floors_by_epoch
from batchers.outbox import OutboxRow
from pipeline.errors import CacheUnavailable
from pipeline.metrics import Metrics
from schemas.updates import BalanceUpdate, encode_update
from tests.support.events import NOON
from tests.support.gates import OpenGate

D1, D2 = date(2026, 3, 10), date(2026, 3, 11)


def update(org: int, property_: int, day: date, version: int, epoch: str = "e1") -> BalanceUpdate:
    return BalanceUpdate(
        org_id=org,
        property_id=property_,
        balance_date=day,
        epoch=epoch,
        version=version,
        opening_balance_cents=0,
        cash_received_cents=0,
        bank_received_cents=0,
        cash_expenses_cents=0,
        bank_expenses_cents=0,
        calculated_closing_balance_cents=0,
        declared_closing_cents=None,
        closing_balance_cents=0,
        balance_discrepancy_cents=0,
        changed_at=NOON,
        cause="event",
        event_id=None,
    )


class Cache:
    """Remembers the calls; fails on the numbered one."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls: list[tuple[str, Floors]] = []
        self._fails_at = fails_at

    async def raise_floors(self, epoch: str, floors: Floors) -> None:
        if self._fails_at == len(self.calls):
            raise CacheUnavailable("away")
        self.calls.append((epoch, floors))


def invalidator(cache: Cache, reached: list[str], groups_max: int = 50) -> tuple[Invalidator, Metrics]:
    metrics = Metrics()
    return Invalidator(cache, OpenGate(), groups_max, metrics, reached.append), metrics


def rows(*updates: Sequence[BalanceUpdate]) -> list[OutboxRow]:
    return [
        OutboxRow(0, seq, [encode_update(each) for each in of_row], UUID(int=seq))
        for seq, of_row in enumerate(updates, 1)
    ]


def test_of_several_changes_of_a_day_the_newest_version_counts_whatever_the_order() -> None:
    found = floors_by_epoch(
        rows(
            [update(1, 1, D1, 4), update(1, 1, D2, 1)],
            [update(1, 1, D1, 6)],
            [update(1, 1, D1, 5), update(1, 2, D1, 9), update(2, 1, D1, 2)],
        )
    )
    assert found == {"e1": {(1, 1): {D1: 6, D2: 1}, (1, 2): {D1: 9}, (2, 1): {D1: 2}}}


def test_epochs_are_kept_apart() -> None:
    found = floors_by_epoch(rows([update(1, 1, D1, 900, "e1")], [update(1, 1, D1, 3, "e2")]))
    assert found == {"e1": {(1, 1): {D1: 900}}, "e2": {(1, 1): {D1: 3}}}


async def test_properties_go_some_at_a_time_and_none_is_left_out() -> None:
    cache, reached = Cache(), list[str]()
    invalidate, metrics = invalidator(cache, reached, groups_max=2)
    await invalidate.invalidate(rows([update(1, property_, D1, 1) for property_ in range(1, 6)]))
    assert [sorted(floors) for _, floors in cache.calls] == [[(1, 1), (1, 2)], [(1, 3), (1, 4)], [(1, 5)]]
    assert metrics.registry.get_sample_value("folio_floors_raised_total") == 5
    assert reached == ["invalidated"]


async def test_days_of_one_property_stay_together() -> None:
    cache = Cache()
    invalidate, metrics = invalidator(cache, [], groups_max=1)
    await invalidate.invalidate(rows([update(1, 1, D1, 3), update(1, 1, D2, 4)]))
    assert cache.calls == [("e1", {(1, 1): {D1: 3, D2: 4}})]
    assert metrics.registry.get_sample_value("folio_floors_raised_total") == 2


async def test_many_days_of_one_property_go_some_at_a_time_and_none_is_left_out() -> None:
    """One late event can change every day of decades: one call over all of them would outlast the client's patience."""
    cache, reached = Cache(), list[str]()
    invalidate, metrics = invalidator(cache, reached)
    days = {D1 + timedelta(number): number + 1 for number in range(2 * CALL_DAYS_MAX + 1)}
    await invalidate.invalidate(
        rows([update(1, 1, day, version) for day, version in days.items()], [update(1, 2, D1, 1)])
    )
    assert [sum(len(days) for days in floors.values()) for _, floors in cache.calls] == [
        CALL_DAYS_MAX,
        CALL_DAYS_MAX,
        2,
    ]
    raised = [
        (key, day, version) for _, floors in cache.calls for key in floors for day, version in floors[key].items()
    ]
    assert raised == [((1, 1), day, version) for day, version in days.items()] + [((1, 2), D1, 1)]
    assert metrics.registry.get_sample_value("folio_floors_raised_total") == len(raised)
    assert reached == ["invalidated"]


@given(st.lists(st.integers(1, 12), max_size=8), st.integers(1, 5), st.integers(1, 9))
def test_calls_keep_both_bounds_lose_no_day_and_are_as_full_as_they_may(
    days_of: list[int], groups_max: int, days_max: int
) -> None:
    floors: Floors = {
        (1, property_): {D1 + timedelta(number): number + 1 for number in range(count)}
        for property_, count in enumerate(days_of)
    }
    calls = list(bounded_calls(floors, groups_max, days_max))
    sizes = [(len(call), sum(len(days) for days in call.values())) for call in calls]
    assert all(1 <= groups <= groups_max and 1 <= days <= days_max for groups, days in sizes)
    assert all(groups == groups_max or days == days_max for groups, days in sizes[:-1])
    assert [(key, *day) for call in calls for key, days in call.items() for day in days.items()] == [
        (key, *day) for key, days in floors.items() for day in days.items()
    ]


async def test_a_cache_that_is_away_is_told_to_the_caller_who_tries_again() -> None:
    cache, reached = Cache(fails_at=1), list[str]()
    invalidate, _ = invalidator(cache, reached, groups_max=1)
    changed = rows([update(1, 1, D1, 1), update(1, 2, D1, 1)])
    with pytest.raises(CacheUnavailable):
        await invalidate.invalidate(changed)
    assert not reached
