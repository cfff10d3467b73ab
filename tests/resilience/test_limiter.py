"""Turns by rate. The library reads the event loop's time: small times here."""

import asyncio

import pytest

from pipeline.errors import RateLimited
from pipeline.resilience.limiter import Limiter, LimiterBounds
from pipeline.resilience.metrics import ResilienceMetrics
from tests.resilience.parts import PART, value
from tests.support.clocks import HandClock


def new_limiter(bounds: LimiterBounds, metrics: ResilienceMetrics | None = None) -> Limiter:
    return Limiter(PART, bounds, HandClock(), metrics or ResilienceMetrics())


async def test_a_seconds_calls_come_at_once_then_evenly() -> None:
    metrics = ResilienceMetrics()
    limiter = new_limiter(LimiterBounds(100, 100, 5), metrics)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(limiter.turn() for _ in range(100)))
    assert value(metrics, "folio_limiter_wait_seconds_count") == 0
    await asyncio.gather(*(limiter.turn() for _ in range(20)))
    assert loop.time() - began >= 0.19
    assert value(metrics, "folio_limiter_waiting") == 0


async def test_whose_turn_does_not_come_in_time_is_refused() -> None:
    metrics = ResilienceMetrics()
    limiter = new_limiter(LimiterBounds(1, 100, 0.02), metrics)
    await limiter.turn()
    with pytest.raises(RateLimited, match=r"it is given 1 calls a second, and its turn did not come within 0\.02 s"):
        await limiter.turn()
    assert value(metrics, "folio_guarded_calls_refused_total", by="limiter") == 1
    assert value(metrics, "folio_limiter_wait_seconds_count") == 1
    assert value(metrics, "folio_limiter_waiting") == 0


async def test_beyond_those_that_may_wait_one_is_refused_at_once() -> None:
    limiter = new_limiter(LimiterBounds(1, 2, 5))
    await limiter.turn()
    waiting = [asyncio.create_task(limiter.turn()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="2 more wait for their turn"):
        await limiter.turn()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_who_is_cancelled_takes_no_turn() -> None:
    limiter = new_limiter(LimiterBounds(20, 100, 5))
    for _ in range(20):
        await limiter.turn()
    cancelled = [asyncio.create_task(limiter.turn()) for _ in range(50)]
    await asyncio.sleep(0)
    for task in cancelled:
        task.cancel()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await limiter.turn()
    assert loop.time() - began < 0.5, "fifty turns would have taken two and a half seconds"
