"""Which records a proof needs, and when it cannot be made."""

import pytest

from pipeline.oracle.spans import Span, UnprovenError, consumed
from tests.oracle.builders import RULES

FROM_5 = [RULES._replace(position=5), RULES._replace(position=50)]


def test_from_the_first_position_to_the_present_one() -> None:
    positions = {0: 100, 1: None, 2: 5}
    assert consumed("t", positions, {0: FROM_5, 2: FROM_5}, {0: Span(5, 100), 1: Span(0, 9)}) == {0: Span(5, 100)}


@pytest.mark.parametrize(
    ("positions", "held", "message"),
    [
        ({0: 20}, {0: Span(6, 20)}, "^t, lane 0: 1 of 15 records have left"),
        ({0: 20}, {0: Span(90, 100)}, "^t, lane 0: 15 of 15 records have left"),
        ({0: 20}, {0: Span(0, 19)}, "^t, lane 0: its position is 20, but the topic ends at 19"),
        ({0: 20}, {}, "^t, lane 0: the topic has no such partition"),
        ({3: 20}, {3: Span(0, 20)}, "lane 3 has a position, but no rules"),
    ],
)
def test_what_cannot_be_proved(positions: dict[int, int | None], held: dict[int, Span], message: str) -> None:
    with pytest.raises(UnprovenError, match=message):
        consumed("t", positions, {0: FROM_5}, held)


@pytest.mark.parametrize("positions", [{}, {0: None}, {0: 5}])
def test_where_nothing_was_consumed_nothing_is_needed(positions: dict[int, int | None]) -> None:
    assert consumed("t", positions, {0: FROM_5}, {}) == {}


def test_every_lane_that_lacks_something_is_named() -> None:
    with pytest.raises(UnprovenError, match=r"^t, lane 0: .*; t, lane 1: "):
        consumed("t", {0: 20, 1: 20}, {0: FROM_5, 1: FROM_5}, {0: Span(9, 20), 1: Span(8, 20)})
