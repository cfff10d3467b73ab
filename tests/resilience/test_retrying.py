"""Which calls are made again, how often, after which pauses, and when the budget says no."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipeline.errors import BatchRejected, CircuitOpen, DatabaseUnavailable, OutcomeUnknown
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.retrying import Chance, RetryBounds, Retrying
from tests.resilience.parts import PART, Server, away, no_pause, value

FREE = RetryBounds(budget_share=1, budget_saved_max=1_000)


async def with_savings(
    bounds: RetryBounds = FREE, metrics: ResilienceMetrics | None = None, chance: Chance = no_pause, calls: int = 100
) -> Retrying:
    """After as many calls that went well."""
    retrying = Retrying(PART, bounds, metrics or ResilienceMetrics(), chance)
    server = Server(turns=0)
    for _ in range(calls):
        await retrying.call(server.work)
    return retrying


def failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """Work that fails so, call by call, then answers; and the calls that it has seen."""
    left, seen = list(errors), list[int]()

    async def work() -> str:
        seen.append(len(seen) + 1)
        if left:
            raise left.pop(0)
        return "answer"

    return work, seen


async def test_a_part_that_is_back_at_once_is_not_noticed() -> None:
    metrics = ResilienceMetrics()
    retrying = await with_savings(metrics=metrics)
    work, seen = failing(away(), away())
    assert await retrying.call(work) == "answer"
    assert len(seen) == 3
    assert value(metrics, "folio_retries_total") == 2
    assert value(metrics, "folio_retries_refused_total") == 0


async def test_the_last_attempt_raises_what_it_met() -> None:
    metrics = ResilienceMetrics()
    retrying = await with_savings(metrics=metrics)
    work, seen = failing(away(), away(), DatabaseUnavailable("the last"), away())
    with pytest.raises(DatabaseUnavailable, match="the last"):
        await retrying.call(work)
    assert len(seen) == 3
    assert value(metrics, "folio_retries_total") == 2, "nothing is taken for an attempt that is not made"


@pytest.mark.parametrize(
    "error", [BatchRejected("text"), OutcomeUnknown("COMMIT"), ValueError(), FileNotFoundError()], ids=repr
)
async def test_what_another_attempt_cannot_mend_is_raised_at_once(error: Exception) -> None:
    retrying = await with_savings()
    work, seen = failing(error)
    with pytest.raises(type(error)):
        await retrying.call(work)
    assert len(seen) == 1


async def test_what_a_gate_refuses_is_not_tried_again_and_pays_for_nothing() -> None:
    retrying = await with_savings(RetryBounds(budget_share=0.2), calls=0)
    work, seen = failing(*(CircuitOpen("not called") for _ in range(10)))
    for _ in range(10):
        with pytest.raises(CircuitOpen):
            await retrying.call(work)
    assert len(seen) == 10
    work, seen = failing(away())
    with pytest.raises(DatabaseUnavailable):
        await retrying.call(work)
    assert len(seen) == 1, "ten refusals have paid for two retries"


async def test_a_call_whose_second_attempt_is_refused_tells_of_the_first() -> None:
    """CircuitOpen says that the part has seen nothing of the call; of this one it has."""
    retrying = await with_savings()
    work, _ = failing(DatabaseUnavailable("cut off"), CircuitOpen("not called"))
    with pytest.raises(DatabaseUnavailable, match="cut off") as raised:
        await retrying.call(work)
    assert isinstance(raised.value.__cause__, CircuitOpen)


async def test_pauses_are_anything_below_a_bound_that_doubles() -> None:
    bounds: list[tuple[float, float]] = []

    def chance(least: float, most: float) -> float:
        bounds.append((least, most))
        return 0.0

    retrying = await with_savings(RetryBounds(8, 0.05, 1, 1, 1_000), chance=chance)
    with pytest.raises(DatabaseUnavailable):
        await retrying.call(failing(*(away() for _ in range(8)))[0])
    assert bounds == [(0, each) for each in (0.05, 0.1, 0.2, 0.4, 0.8, 1, 1)]


async def test_a_pause_lasts_as_long_as_chance_says() -> None:
    retrying = await with_savings(chance=lambda _least, _most: 0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await retrying.call(failing(away())[0])
    assert 0.04 <= loop.time() - began < 1


async def test_with_a_part_that_is_down_the_calls_stay_below_its_share() -> None:
    metrics = ResilienceMetrics()
    retrying = await with_savings(RetryBounds(), metrics, calls=0)
    server = Server(away(), turns=0)
    for calls in range(1, 1_001):
        with pytest.raises(DatabaseUnavailable):
            await retrying.call(server.work)
        assert server.calls <= 1.2 * calls
    assert server.calls > 1_190, "what was paid for is used"
    made, refused = value(metrics, "folio_retries_total"), value(metrics, "folio_retries_refused_total")
    assert made == server.calls - 1_000
    assert refused == 1_000


async def test_who_is_cancelled_in_a_pause_makes_no_further_attempt() -> None:
    retrying = await with_savings(chance=lambda _least, _most: 60.0)
    server = Server(away(), turns=0)
    task = asyncio.create_task(retrying.call(server.work))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.calls == 1
