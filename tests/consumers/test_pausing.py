"""Pausing: what a worker tells of paused lanes is of those that it has."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from consumers.pausing import Pause, Pausing
from pipeline.errors import FenceLost
from pipeline.metrics import Metrics
from tests.support.claims import PRIMARY


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

    def see_outbox(self, lane: int, head: int) -> None:
        pass


def nobody_asks(doing: str) -> AbstractAsyncContextManager[asyncpg.Connection]:
    raise AssertionError(doing)


def paused_lanes(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("folio_lanes_paused")


def test_a_paused_lane_that_goes_to_another_worker_is_that_ones_to_tell() -> None:
    metrics, hand = Metrics(), Hand()
    Pausing(nobody_asks, {0: Pause("me", "a look at it")}, [0, 1], None, hand, hand, metrics)
    assert paused_lanes(metrics) == 1
    assert hand.held == {0}
    metrics.lanes_given_up()
    Pausing(nobody_asks, {}, [1], None, hand, hand, metrics)
    assert paused_lanes(metrics) == 0


class Standby:
    """A database that has taken over, and knows nothing of pauses."""

    async def fetch(self, _statement: str, *_arguments: object) -> list[Any]:
        return []

    async def fetchval(self, _statement: str) -> str:
        return PRIMARY.replace("-1", "-2")


@asynccontextmanager
async def to_the_standby(_doing: str) -> AsyncIterator[Any]:
    yield Standby()


async def test_a_worker_whose_lanes_are_quiet_learns_of_another_primary_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last batches may be gone with the old one, and no further batch would come to tell."""
    monkeypatch.setattr("consumers.pausing._PERIOD_SECONDS", 0.01)
    hand = Hand()
    with pytest.raises(FenceLost, match="taken over"):
        await Pausing(to_the_standby, {}, [0], PRIMARY, hand, hand, Metrics()).run()
