"""What the figures of an invalidation speak for, and what its load consists of."""

from itertools import islice

from batchers.invalidator import floors_by_epoch
from bench.invalidation.advice import groups_advised
from bench.invalidation.load import EPOCH, batches
from bench.invalidation.reading import Reads
from bench.invalidation.sustained import Sustained


def shape(groups: int, rate: float, readers_p99_ms: float) -> Sustained:
    return Sustained(groups, 1, rate, 1.0, 1.0, 1.0, 5.0, 5.0, Reads(100, 0.1, readers_p99_ms, readers_p99_ms))


def test_the_fewest_properties_that_come_near_the_best_rate() -> None:
    shapes = [shape(10, 20_000, 1), shape(50, 46_000, 1), shape(200, 48_000, 3), shape(1_000, 50_000, 8)]
    assert groups_advised(shapes, quiet_p99_ms=0.5) == 50


def test_a_size_that_keeps_readers_waiting_is_not_advised_however_fast_it_is() -> None:
    shapes = [shape(10, 20_000, 1), shape(50, 30_000, 2), shape(1_000, 90_000, 40)]
    assert groups_advised(shapes, quiet_p99_ms=0.5) == 50


def test_on_a_slow_machine_readers_are_held_against_what_they_wait_anyway() -> None:
    shapes = [shape(10, 20_000, 30), shape(50, 30_000, 35)]
    assert groups_advised(shapes, quiet_p99_ms=25) == 50


def test_where_none_leaves_readers_in_peace_the_gentlest_is_advised() -> None:
    assert groups_advised([shape(10, 20_000, 60), shape(50, 30_000, 50)], quiet_p99_ms=1) == 50


def test_each_day_comes_by_with_its_next_version() -> None:
    seen: dict[tuple[tuple[int, int], str], int] = {}
    for rows in islice(batches(4, batch_days=30, population=80), 8):
        for key, days in floors_by_epoch(rows)[EPOCH].items():
            for day, version in days.items():
                assert version == seen.get((key, day.isoformat()), 0) + 1
                seen[key, day.isoformat()] = version
    assert len(seen) == 80
    assert set(seen.values()) == {3}
