"""Ages of what waits: exact where a record is held, never too small where it is only known to be there."""

from datetime import timedelta

from consumers.waiting import Waiting, ages
from schemas.topics import Feed
from tests.support.events import NOON


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_a_lane_is_as_late_as_the_later_of_its_feeds() -> None:
    events, corrections, other = (Waiting(0, feed, NOON) for feed in (Feed.EVENTS, Feed.CORRECTIONS, Feed.EVENTS))
    other.lane = 1
    events.held(NOON - after(5))
    corrections.held(NOON - after(9))
    assert ages([events, corrections, other], NOON) == {0: 9, 1: 0}


def test_what_is_not_delivered_is_younger_than_what_was_and_than_the_last_time_that_nothing_waited() -> None:
    waiting, now = Waiting(0, Feed.EVENTS, NOON), NOON + after(10)
    waiting.undelivered(None)
    assert ages([waiting], now) == {0: 10}
    waiting.undelivered(NOON + after(3))
    assert ages([waiting], now) == {0: 7}
    waiting.nothing(NOON + after(8))
    assert ages([waiting], now) == {0: 0}
    waiting.undelivered(NOON + after(3))
    assert ages([waiting], now) == {0: 2}


def test_a_broker_whose_clock_is_ahead_makes_no_negative_age() -> None:
    waiting = Waiting(0, Feed.EVENTS, NOON)
    waiting.held(NOON + after(2))
    assert ages([waiting], NOON) == {0: 0}
