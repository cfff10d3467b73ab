"""How late an update is: from when its event was due, at each who follows, conflated or not."""

from datetime import date

import pytest

from bench.live.receiver import Arrival, Arrivals
from bench.live.resolving import Look, Sending
from bench.live.schedule import SILENT, Schedule
from bench.live.stepping import Trace
from bench.serve.delivering import Delivered, delivered
from bench.serve.following import Deliveries

MS = 1_000_000
TODAY = date(2026, 11, 29).toordinal()
ORG, PROPERTY = 7, 701
DAY = (ORG, PROPERTY, TODAY)


def trace(days: list[tuple[int, int, int] | None], committed_ms: list[int], arrivals: list[Arrival]) -> Trace:
    """One lane, an event each millisecond from 0 on, each committed at its moment."""
    schedule, told = Schedule(), Arrivals()
    for day in days:
        schedule.add(0, day)
    for arrival in arrivals:
        told.add(arrival)
    looks = [Look(at * MS, {0: count}) for count, at in enumerate(committed_ms, 1)]
    return Trace(schedule, Sending(0, 1_000, {0: 0}), looks, told)


def heard(*values: tuple[int, int, int]) -> Deliveries:
    """When (ms), by whom, of which turn."""
    deliveries = Deliveries()
    for at_ms, number, turn in values:
        deliveries.add(at_ms * MS, number, PROPERTY, TODAY, turn, 0)
    return deliveries


def shown(found: Delivered) -> tuple[int, int, float]:
    return found.expected, found.missing, round(found.from_due.max_ms)


def test_everybody_who_follows_waits_for_an_event() -> None:
    seen = trace([DAY], [5], [Arrival(6 * MS, DAY, 0, 4 * MS)])
    found = delivered(seen, heard((10, 0, 0), (20, 1, 0)), [ORG, ORG, 8], TODAY)
    assert shown(found) == (2, 0, 20)
    assert found.from_commit.max_ms == pytest.approx(15, rel=0.01)
    assert found.from_topic.max_ms == pytest.approx(14, rel=0.01)


def test_what_a_newer_state_brings_along_is_as_late_as_that() -> None:
    arrivals = [Arrival(6 * MS, DAY, 0, 4 * MS), Arrival(9 * MS, DAY, 1, 7 * MS)]
    found = delivered(trace([DAY, DAY], [5, 8], arrivals), heard((50, 0, 1)), [ORG], TODAY)
    assert shown(found) == (2, 0, 50)
    assert found.from_due.count == 2


def test_what_never_came_is_missing() -> None:
    arrivals = [Arrival(6 * MS, DAY, 0, 4 * MS), Arrival(9 * MS, DAY, 1, 7 * MS)]
    found = delivered(trace([DAY, DAY], [5, 8], arrivals), heard((9, 0, 0)), [ORG], TODAY)
    assert shown(found) == (2, 1, 9)


def test_nobody_waits_for_what_has_no_update_or_is_filtered() -> None:
    before = (ORG, PROPERTY, TODAY - 1)
    # The first netted to nothing: the update that shows it was stamped after its commit.
    arrivals = [Arrival(40 * MS, DAY, 3, 30 * MS), Arrival(40 * MS, before, 2, 30 * MS)]
    found = delivered(trace([DAY, None, before, DAY], [5, 6, 31, 32], arrivals), heard((45, 0, 3)), [ORG], TODAY)
    assert shown(found) == (1, 0, 42)
    assert SILENT == 0
