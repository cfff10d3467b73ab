"""Pacing follows the clock alone."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from pipeline.simulator.plan import Plan
from pipeline.simulator.producing import Pace, live
from schemas.events import FinanceEvent
from tests.simulator.judging import accepted


class HeldClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def test_a_stall_is_made_up_for() -> None:
    clock = HeldClock()
    pace = Pace(10, clock)
    assert pace.due(0) == 1
    assert pace.due(1) == 0
    assert pace.wait_seconds(1) == pytest.approx(0.1)
    clock.seconds += 2
    assert pace.due(1) == 20
    assert pace.due(21) == 0


def test_a_high_rate_goes_out_in_ticks() -> None:
    clock = HeldClock()
    pace = Pace(100_000, clock)
    assert pace.wait_seconds(1) == pytest.approx(0.005)
    clock.seconds += 0.005
    assert pace.due(1) == pytest.approx(500, abs=1)


def test_without_a_rate_something_is_always_due() -> None:
    assert Pace(None, HeldClock()).due(10**9) > 0


async def test_live_events_happen_when_they_are_taken() -> None:
    clock = HeldClock()
    clock.seconds = datetime(2025, 11, 22, 6, tzinfo=UTC).timestamp()
    plan = Plan(date(2025, 11, 22), late_share=0, recent_share=0, poison_share=0, duplicate_share=0, correction_share=0)
    source = live(plan, clock)
    first = await source.take(5)
    clock.seconds += 3_600
    await asyncio.sleep(0)
    second = await source.take(200)

    def created(event: FinanceEvent) -> bool:
        return event.type.endswith(".created")

    earliest = datetime(2025, 11, 22, 6, 45, tzinfo=UTC)
    assert all(accepted(message).event.occurred_at < earliest for message in first)
    later = [accepted(message).event for message in second]
    assert all(event.occurred_at >= earliest for event in filter(created, later))
