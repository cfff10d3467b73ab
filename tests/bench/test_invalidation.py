"""What the figures of an invalidation speak for, and what its load consists of."""

from itertools import islice

from batchers.invalidator import CALL_DAYS_MAX, floors_by_epoch
from bench.invalidation.advice import blocked_ms, groups_advised
from bench.invalidation.load import EPOCH, batches
from bench.invalidation.reading import Reads
from bench.invalidation.sustained import Sustained


def shape(groups: int, client_us: float, server_us: float, days: int = 1) -> list[Sustained]:
    return [Sustained(groups, days, 1.0, 1.0, 1.0, 1.0, client_us, server_us, Reads(100, 0.1, 1.0, 1.0))]


def test_the_fewest_properties_that_are_about_as_cheap_as_the_cheapest() -> None:
    assert groups_advised([shape(10, 25, 11), shape(50, 10, 6), shape(200, 8, 6.5)]) == 50
    assert groups_advised([shape(10, 25, 11), shape(50, 15, 6), shape(200, 8, 6.5)]) == 200


def test_a_size_that_keeps_the_cache_from_others_is_not_advised_however_cheap_it_is() -> None:
    assert groups_advised([shape(10, 25, 11), shape(50, 20, 9), shape(1_000, 2, 3)]) == 50


def test_where_every_size_keeps_it_from_others_the_fewest_are_advised() -> None:
    assert groups_advised([shape(100, 5, 50), shape(1_000, 5, 50)]) == 100


def test_a_call_is_busy_for_no_more_days_than_the_product_puts_into_one() -> None:
    assert blocked_ms(shape(50, 1, 5)) == 0.25
    assert blocked_ms(shape(1_000, 1, 5, days=40)) == CALL_DAYS_MAX * 5 / 1_000


def test_each_day_comes_by_with_its_next_version() -> None:
    seen: dict[tuple[tuple[int, int], str], int] = {}
    for rows in islice(batches(4, batch_days=30, population=80), 8):
        for key, days in floors_by_epoch(rows)[EPOCH].items():
            for day, version in days.items():
                assert version == seen.get((key, day.isoformat()), 0) + 1
                seen[key, day.isoformat()] = version
    assert len(seen) == 80
    assert set(seen.values()) == {3}
