"""Pausing: what a worker tells of paused lanes is of those that it has."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime

import asyncpg

from consumers.pausing import Pause, Pausing
from pipeline.metrics import Metrics


class Hand:
    """Fetches and counts poison by hand: it notes what it is told."""

    def __init__(self) -> None:
        self.held: set[int] = set()

    def hold(self, lane: int) -> None:
        self.held.add(lane)

    def release(self, lane: int) -> None:
        self.held.discard(lane)

    def accept_poison(self, lane: int, until: datetime) -> None:
        pass


def nobody_asks(doing: str) -> AbstractAsyncContextManager[asyncpg.Connection]:
    raise AssertionError(doing)


def paused_lanes(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("folio_lanes_paused")


def test_a_paused_lane_that_goes_to_another_worker_is_that_ones_to_tell() -> None:
    metrics, hand = Metrics(), Hand()
    Pausing(nobody_asks, {0: Pause("me", "a look at it")}, [0, 1], hand, hand, metrics)
    assert paused_lanes(metrics) == 1
    assert hand.held == {0}
    metrics.lanes_given_up()
    Pausing(nobody_asks, {}, [1], hand, hand, metrics)
    assert paused_lanes(metrics) == 0
