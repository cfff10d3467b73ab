"""Latencies count from when an event was due, and nothing is left out silently."""

from pathlib import Path

import pytest

from bench.live.receiver import Arrival, Arrivals
from bench.live.resolving import Look, Sending, commit_instants, lag_records, resolve, seen_instants
from bench.live.schedule import Schedule, lane_turns

MS = 1_000_000
DAY, OTHER_DAY = (1, 1, 700_000), (1, 2, 700_000)
# A thousand events a second: turn n is due after n ms.
SENDING = Sending(start_ns=0, rate=1_000, first_offsets={0: 50})


def schedule(*days: tuple[int, int, int] | None, lane: int = 0) -> Schedule:
    made = Schedule()
    for day in days:
        made.add(lane, day)
    return made


def arrival(at_ms: int, turn: int, day: tuple[int, int, int] = DAY, changed_at_ms: int = 0) -> Arrival:
    return Arrival(at_ms * MS, day, turn, changed_at_ms * MS)


def test_an_update_shows_every_earlier_event_of_its_day_and_no_later_one() -> None:
    seen = seen_instants(schedule(DAY, DAY, OTHER_DAY, DAY), [arrival(10, 1), arrival(20, 3)])
    assert [each.at_ns // MS if each else None for each in seen] == [10, 10, None, 20]


def test_an_update_that_comes_twice_counts_once() -> None:
    seen = seen_instants(schedule(DAY), [arrival(10, 0), arrival(90, 0)])
    assert seen[0] == arrival(10, 0)


def test_latencies_count_from_the_instant_when_an_event_was_due() -> None:
    looks = [Look(0, {0: 50}), Look(100 * MS, {0: 51}), Look(200 * MS, {0: 52})]
    found = resolve(schedule(DAY, DAY), SENDING, looks, [arrival(300, 1, changed_at_ms=90)])
    assert found.commit.percentile_ms(50) == pytest.approx(100, rel=0.01)
    assert found.commit.max_ms == pytest.approx(199, rel=0.01)  # due at 1 ms
    assert found.update.percentile_ms(50) == pytest.approx(299, rel=0.01)
    assert found.stamp.max_ms == pytest.approx(90, rel=0.01)


def test_what_was_committed_stays_so_whatever_a_later_look_finds() -> None:
    looks = [Look(10 * MS, {0: 51}), Look(20 * MS, {}), Look(30 * MS, {0: 52})]
    assert list(commit_instants(schedule(DAY, DAY), SENDING.first_offsets, looks)) == [10 * MS, 30 * MS]


def test_a_stall_makes_every_event_that_was_due_meanwhile_late() -> None:
    """A closed loop would have one slow event here; an open one has a thousand."""
    stalled = resolve(schedule(*[DAY] * 1_000), SENDING, [Look(1_000 * MS, {0: 1_050})], [])
    assert stalled.commit.percentile_ms(50) == pytest.approx(500, rel=0.01)


def test_what_is_not_resolved_is_counted() -> None:
    found = resolve(schedule(DAY, None, OTHER_DAY), SENDING, [Look(5 * MS, {0: 51})], [arrival(9, 0)])
    assert (found.uncommitted, found.silent, found.unseen, found.netted) == (2, 1, 1, 0)
    assert found.commit.count == found.update.count == 1


def test_a_later_batch_does_not_pass_for_the_update_of_a_day_that_netted_to_nothing() -> None:
    looks = [Look(5 * MS, {0: 51}), Look(5_000 * MS, {0: 52})]
    found = resolve(schedule(DAY, DAY), SENDING, looks, [arrival(5_001, 1, changed_at_ms=4_990)])
    assert (found.netted, found.update.count) == (1, 1)


def test_a_lane_that_others_filled_before_counts_from_where_it_stood() -> None:
    lanes = lane_turns(schedule(*[DAY] * 10))
    assert lag_records(Look(4 * MS, {0: 50}), SENDING, lanes) == 5
    assert lag_records(Look(4 * MS, {0: 53}), SENDING, lanes) == 2
    assert lag_records(Look(900 * MS, {0: 60}), SENDING, lanes) == 0


def test_arrivals_come_back_from_their_file(tmp_path: Path) -> None:
    arrivals = Arrivals()
    arrivals.add(arrival(1, 2))
    arrivals.add(arrival(3, -1, OTHER_DAY))
    arrivals.save(tmp_path / "arrivals")
    assert list(Arrivals.load(tmp_path / "arrivals")) == [arrival(1, 2), arrival(3, -1, OTHER_DAY)]
