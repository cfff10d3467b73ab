"""All gates together: their order, cancellation at every await, and a part that is down or just back."""

import asyncio
from dataclasses import replace

import pytest

from pipeline.errors import BulkheadFull, CircuitOpen, DatabaseUnavailable, NotAsked, RateLimited
from pipeline.resilience.breaker import BreakerBounds, State
from pipeline.resilience.bulkhead import BulkheadBounds
from pipeline.resilience.limiter import LimiterBounds
from pipeline.resilience.retrying import RetryBounds
from tests.resilience.parts import Guarded, Server, away

WIDE = LimiterBounds(1_000_000, 0, 1)
ROOMY = BulkheadBounds(10, 100, 5)
PATIENT = RetryBounds(attempts=3, budget_share=1, budget_saved_max=1_000)


async def opened(limiter_bounds: LimiterBounds = WIDE, bulkhead_bounds: BulkheadBounds = ROOMY) -> Guarded:
    guarded = Guarded(limiter_bounds=limiter_bounds, bulkhead_bounds=bulkhead_bounds)
    down = Server(away())
    for _ in range(5):
        with pytest.raises(DatabaseUnavailable):
            await guarded.guard.call_once(down.work)
    assert guarded.guard.breaker.state is State.OPEN
    return guarded


async def test_a_call_returns_what_the_work_does() -> None:
    assert await Guarded().guard.call(Server().work) == "answer"


async def test_of_a_hundred_callers_of_a_half_open_circuit_one_comes_through() -> None:
    guarded = await opened()
    guarded.clock.pass_seconds(60)
    server = Server(turns=10)
    ends = await asyncio.gather(*(guarded.guard.call(server.work) for _ in range(100)), return_exceptions=True)
    assert server.calls == 1
    assert [end for end in ends if not isinstance(end, CircuitOpen)] == ["answer"]
    assert guarded.guard.breaker.state is State.CLOSED


async def test_of_a_hundred_that_wait_for_the_same_place_one_is_the_probe() -> None:
    """The circuit opens while they wait, and its time is over before they have their places."""
    guarded = Guarded(bulkhead_bounds=BulkheadBounds(3, 200, 5), retry_bounds=RetryBounds(attempts=1))
    release = asyncio.Event()

    async def slow() -> None:
        await release.wait()

    holding = [asyncio.create_task(guarded.guard.call(slow)) for _ in range(3)]
    server = Server(turns=10)
    waiting = [asyncio.create_task(guarded.guard.call(server.work)) for _ in range(100)]
    await asyncio.sleep(0)
    for _ in range(5):
        with pytest.raises(DatabaseUnavailable), guarded.guard.breaker.passing():
            raise away()
    guarded.clock.pass_seconds(60)
    release.set()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.gather(*holding)
    answered = [end for end in ends if not isinstance(end, CircuitOpen)]
    assert server.most_at_once <= 3
    assert answered == ["answer"] * server.calls
    assert value_of_refused(guarded) == 100 - server.calls > 0


def value_of_refused(guarded: Guarded) -> float:
    return guarded.value("folio_guarded_calls_refused_total", by="circuit")


async def test_an_open_circuit_waits_for_no_turn_and_uses_none_up() -> None:
    guarded = await opened(limiter_bounds=LimiterBounds(6, 0, 0.001))
    server = Server()
    for _ in range(100):
        with pytest.raises(CircuitOpen):
            await guarded.guard.call(server.work)
    assert server.calls == 0
    assert guarded.value("folio_retries_total") == 0
    guarded.clock.pass_seconds(60)
    assert await guarded.guard.call(server.work) == "answer"


async def test_an_open_circuit_waits_for_no_place() -> None:
    guarded = await opened(bulkhead_bounds=BulkheadBounds(1, 100, 60))
    holding = asyncio.create_task(hold(guarded, 1_000))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        with pytest.raises(CircuitOpen):
            await guarded.guard.call(Server().work)
    assert not holding.done()
    holding.cancel()
    await asyncio.wait([holding])


async def test_every_attempt_counts_for_the_circuit_and_none_comes_after_it_has_opened() -> None:
    guarded = Guarded(retry_bounds=replace(PATIENT, attempts=10))
    for _ in range(20):
        await guarded.guard.call(Server().work)
    down = Server(away())
    with pytest.raises(DatabaseUnavailable) as raised:
        await guarded.guard.call(down.work)
    assert down.calls == 5
    assert isinstance(raised.value.__cause__, CircuitOpen)


async def test_a_refusal_by_rate_or_by_bulkhead_does_not_count_for_the_circuit() -> None:
    guarded = Guarded(limiter_bounds=LimiterBounds(1, 0, 1), breaker_bounds=BreakerBounds(failures=1))
    await guarded.guard.call(Server().work)
    with pytest.raises(RateLimited):
        await guarded.guard.call(Server().work)
    full = Guarded(bulkhead_bounds=BulkheadBounds(1, 0, 1), breaker_bounds=BreakerBounds(failures=1))
    ends = await asyncio.gather(*(full.guard.call(Server().work) for _ in range(2)), return_exceptions=True)
    assert [type(end) for end in ends] == [str, BulkheadFull]
    assert guarded.guard.breaker.state is full.guard.breaker.state is State.CLOSED


async def test_while_it_pauses_before_another_attempt_a_call_holds_no_place() -> None:
    guarded = Guarded(retry_bounds=PATIENT, bulkhead_bounds=BulkheadBounds(1, 0, 1))
    guarded.guard._retrying._chance = lambda _least, _most: 60.0
    pausing = asyncio.create_task(guarded.guard.call(Server(away()).work))
    await asyncio.sleep(0.01)
    assert guarded.value("folio_retries_total") == 1
    assert await guarded.guard.call(Server().work) == "answer"
    pausing.cancel()
    await asyncio.wait([pausing])


async def test_a_part_that_is_down_gets_a_fifth_more_calls_than_it_was_asked_at_most() -> None:
    """Whatever the circuit does: here it never opens."""
    guarded = Guarded(breaker_bounds=BreakerBounds(failures=1_000_000))
    down = Server(away(), turns=0)
    for calls in range(1, 501):
        with pytest.raises(DatabaseUnavailable):
            await guarded.guard.call(down.work)
        assert down.calls <= 1.2 * calls
    assert down.calls > 590


async def test_a_part_that_is_down_for_an_hour_is_called_once_a_minute() -> None:
    guarded = Guarded()
    down = Server(away(), turns=0)
    for _ in range(3_600):
        with pytest.raises((DatabaseUnavailable, NotAsked)):
            await guarded.guard.call(down.work)
        guarded.clock.pass_seconds(1)
    assert 5 + 59 <= down.calls <= 5 + 60


@pytest.mark.parametrize("half_open", [False, True], ids=["closed", "half-open"])
@pytest.mark.parametrize("failing", [False, True], ids=["answered", "away"])
@pytest.mark.parametrize("waiting", [False, True], ids=["free", "full"])
async def test_cancelled_at_any_await_it_leaves_no_place_and_no_probe(
    half_open: bool, failing: bool, waiting: bool
) -> None:
    """One turn of the event loop later each time, until the call ends before it is cancelled."""
    turns = 0
    ended = False
    while not ended:
        guarded = Guarded(retry_bounds=PATIENT, bulkhead_bounds=BulkheadBounds(1, 5, 5))
        if half_open:
            for _ in range(5):
                with pytest.raises(DatabaseUnavailable), guarded.guard.breaker.passing():
                    raise away()
            guarded.clock.pass_seconds(60)
        holder = asyncio.create_task(hold(guarded, 4)) if waiting else None
        await asyncio.sleep(0)
        task = asyncio.create_task(guarded.guard.call(Server(away() if failing else None, turns=3).work))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await asyncio.wait([task] if holder is None else [task, holder])
        if not ended:
            assert task.cancelled()
        assert guarded.value("folio_bulkhead_in_flight") == guarded.value("folio_bulkhead_waiting") == 0
        if guarded.guard.breaker.state is not State.OPEN:
            assert guarded.guard.breaker.seconds_left() == 0
            assert await guarded.guard.call(Server().work) == "answer"
        turns += 1
    assert turns > 4, "no await was struck"


async def hold(guarded: Guarded, turns: int) -> None:
    """Hold the only place for some turns of the loop."""
    async with guarded.guard._bulkhead.place():
        for _ in range(turns):
            await asyncio.sleep(0)
