"""The order of the records of both topics, and where corrections stand among the events."""

from datetime import datetime, timedelta

import pytest

from pipeline.oracle.decode import Judged
from pipeline.oracle.order import Order, Place, Placing, eras, in_order
from tests.oracle.builders import NOON, RULES, correction, event, rejected

EVENTS: list[Judged] = [event(2), rejected(3), event(4, version=2), event(9, version=3)]


def order_of(places: dict[tuple[int, int], int], corrections: int) -> list[str]:
    """Offsets in their order; those of corrections with a c."""
    order = Order(places={key: Place(position, NOON) for key, position in places.items()})
    ordered = in_order({0: EVENTS}, {0: [correction(offset) for offset in range(corrections)]}, order)
    return [f"c{each.offset}" if hasattr(each, "correction_id") else str(each.offset) for each in ordered]


@pytest.mark.parametrize(
    ("places", "ordered"),
    [
        ({(0, 0): 0, (0, 1): 0}, "c0 c1 2 3 4 9"),
        ({(0, 0): 3, (0, 1): 4}, "2 c0 3 c1 4 9"),
        ({(0, 0): 5, (0, 1): 9}, "2 3 4 c0 c1 9"),
        ({(0, 0): 10, (0, 1): 10}, "2 3 4 9 c0 c1"),
        ({}, "2 3 4 9 c0 c1"),
        ({(0, 1): 3}, "2 c0 c1 3 4 9"),  # what was not applied goes as late as it can
        ({(0, 0): 3}, "2 c0 3 4 9 c1"),
    ],
)
def test_corrections_stand_behind_the_events_below_their_position(
    places: dict[tuple[int, int], int], ordered: str
) -> None:
    assert order_of(places, 2) == ordered.split()


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


# Stored events of lane 1 by offset, and when they were recorded; what is between was not stored.
STORED = [(1, 10, second(1), b""), (1, 14, second(2), b""), (1, 20, second(5), b"")]


@pytest.mark.parametrize(
    ("noted", "recorded_at", "position"),
    [
        (0, 0, 0),
        (10, 0, 10),
        (11, 0, 10),  # the event at 10 was recorded after it
        (14, 3, 15),  # the event at 14 was recorded before it
        (15, 3, 15),
        (17, 3, 17),  # of what is not stored only the noted position tells
        (20, 3, 20),
        (21, 3, 20),
        (30, 9, 30),
        (31, 9, 30),  # the lane has not come so far
        (20, 9, 21),
    ],
)
def test_a_noted_position_is_believed_as_far_as_the_events_bear_it_out(
    noted: int, recorded_at: int, position: int
) -> None:
    placing = Placing([(1, 7, noted, second(recorded_at))])
    placing.feed(STORED)
    placing.feed([(0, 99, second(0), b"")])  # another lane
    assert placing.places({0: 100, 1: 30}) == {(1, 7): Place(position, second(recorded_at))}


def test_events_on_either_side_bind_every_correction_beyond_them() -> None:
    placing = Placing([(1, offset, noted, second(at)) for offset, noted, at in ((7, 99, 0), (8, 0, 3), (9, 0, 4))])
    placing.feed(STORED)
    assert [place.position for place in placing.places({1: 30}).values()] == [10, 15, 15]


def test_a_lane_without_events() -> None:
    assert Placing([(1, 0, 3, NOON)]).places({1: None}) == {(1, 0): Place(0, NOON)}
    assert Placing([]).places({}) == {}


def test_records_are_apart_by_the_number_of_lanes_under_which_they_were_judged() -> None:
    few, many = RULES._replace(lane_count=2), RULES._replace(lane_count=4)
    rules = {0: [few, few._replace(position=3), many._replace(position=4)], 1: [few], 2: [many]}
    correction_rules = {0: [few, many._replace(position=1)]}
    corrections = {0: [correction(0), correction(1)]}
    first, second = eras(
        {0: EVENTS, 1: [event(0, lane=1)], 2: [event(0, lane=2)]}, corrections, rules, correction_rules
    )
    assert {lane: [each.offset for each in of_lane] for lane, of_lane in first.events.items()} == {
        0: [2, 3],
        1: [0],
        2: [],
    }
    assert {lane: [each.offset for each in of_lane] for lane, of_lane in second.events.items()} == {
        0: [4, 9],
        1: [],
        2: [0],
    }
    assert ([each.offset for each in first.corrections[0]], [each.offset for each in second.corrections[0]]) == (
        [0],
        [1],
    )


def test_without_a_growth_all_records_are_of_one_era() -> None:
    events, corrections = {0: EVENTS}, {0: [correction(0)]}
    assert eras(events, corrections, {0: [RULES]}, {0: [RULES]}) == [(events, corrections)]
