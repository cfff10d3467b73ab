"""One deadline over everything that a shutdown does, however often it is asked for."""

import asyncio

import pytest

from consumers.stopping import Stop


async def test_nobody_asked() -> None:
    stop = Stop(10)
    assert not stop.requested
    assert stop.seconds_left() == 10
    assert stop.seconds_left_to_drain() == 8


async def test_asking_again_does_not_prolong_the_grace() -> None:
    stop = Stop(10)
    stop.request()
    await asyncio.wait_for(stop.wait(), 1)
    first = stop.seconds_left()
    await asyncio.sleep(0.02)
    stop.request()
    assert stop.seconds_left() <= first - 0.02
    assert stop.seconds_left_to_drain() == pytest.approx(stop.seconds_left() - 2, abs=0.01)


async def test_draining_ends_in_time_to_leave_and_all_of_it_when_the_grace_is_over() -> None:
    stop = Stop(0.1)

    async def work() -> None:
        async with stop.bound():
            stop.request()
            await asyncio.sleep(0.085)
            assert stop.seconds_left_to_drain() == 0
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await work()
    assert stop.seconds_left() == 0


async def test_the_bound_holds_nobody_who_is_done_before() -> None:
    stop = Stop(0.01)
    async with stop.bound():
        stop.request()
    await asyncio.sleep(0.03)


async def test_an_order_before_the_work_bounds_it_and_one_after_it_is_only_noted() -> None:
    early, late = Stop(0.01), Stop(0.01)
    early.request()
    with pytest.raises(TimeoutError):
        async with early.bound():
            await asyncio.sleep(60)
    async with late.bound():
        pass
    late.request()
    assert late.requested
