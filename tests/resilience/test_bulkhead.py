"""Places for calls: how many at once, how many wait, and that none is ever lost."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BulkheadFull
from pipeline.resilience.bulkhead import Bulkhead, BulkheadBounds
from pipeline.resilience.metrics import ResilienceMetrics
from tests.resilience.parts import PART, Server, value
from tests.support.clocks import HandClock


def new_bulkhead(
    in_flight: int, waiting: int, wait_seconds: float = 5, metrics: ResilienceMetrics | None = None
) -> Bulkhead:
    bounds = BulkheadBounds(in_flight, waiting, wait_seconds)
    return Bulkhead(PART, bounds, HandClock(), metrics or ResilienceMetrics())


async def through(bulkhead: Bulkhead, server: Server) -> str:
    async with bulkhead.place():
        return await server.work()


async def test_no_more_at_once_than_may_be_and_all_are_served() -> None:
    bulkhead, server = new_bulkhead(3, 100), Server(turns=4)
    assert await asyncio.gather(*(through(bulkhead, server) for _ in range(50))) == ["answer"] * 50
    assert server.most_at_once == 3


async def test_beyond_those_that_may_wait_one_is_refused_at_once() -> None:
    metrics = ResilienceMetrics()
    bulkhead, server = new_bulkhead(2, 3, metrics=metrics), Server(turns=5)
    ends = asyncio.gather(*(through(bulkhead, server) for _ in range(10)), return_exceptions=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert value(metrics, "folio_bulkhead_in_flight") == 2
    assert value(metrics, "folio_bulkhead_waiting") == 3
    refused = [end for end in await ends if isinstance(end, BulkheadFull)]
    assert len(refused) == 5
    assert "postgres was not called: it works on 2 calls, and 3 more wait" in str(refused[0])
    assert value(metrics, "folio_guarded_calls_refused_total", by="bulkhead") == 5
    assert value(metrics, "folio_bulkhead_in_flight") == value(metrics, "folio_bulkhead_waiting") == 0
    assert value(metrics, "folio_bulkhead_wait_seconds_count") == 3


async def test_who_has_waited_for_too_long_is_refused_and_takes_no_place_later() -> None:
    bulkhead = new_bulkhead(1, 10, 0.02)
    async with bulkhead.place():
        with pytest.raises(BulkheadFull, match=r"none of them ended within 0\.02 s"):
            await through(bulkhead, Server())
    assert await through(bulkhead, Server()) == "answer"


async def test_places_are_given_in_the_order_of_asking() -> None:
    bulkhead, served = new_bulkhead(1, 100), list[int]()

    async def ask(number: int) -> None:
        async with bulkhead.place():
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert served == list(range(20))


@settings(deadline=None, max_examples=200)
@given(
    in_flight=st.integers(1, 3),
    callers=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.none() | st.integers(0, 12)), max_size=12),
)
def test_whoever_is_cancelled_whenever_no_place_is_lost(
    in_flight: int, callers: list[tuple[int, int, int | None]]
) -> None:
    """Callers come after some turns of the loop, work for some, and some are cancelled after some."""

    async def run() -> None:
        metrics = ResilienceMetrics()
        bulkhead, most = new_bulkhead(in_flight, 5, metrics=metrics), 0

        async def caller(after: int, turns: int, cancelled: int | None) -> None:
            nonlocal most
            for _ in range(after):
                await asyncio.sleep(0)
            task = asyncio.create_task(through(bulkhead, Server(turns=turns)))
            if cancelled is not None:
                for _ in range(cancelled):
                    await asyncio.sleep(0)
                task.cancel()
            most = max(most, int(value(metrics, "folio_bulkhead_in_flight")))
            await asyncio.wait([task])

        async with asyncio.timeout(5):
            await asyncio.gather(*(caller(*each) for each in callers))
        assert most <= in_flight
        assert value(metrics, "folio_bulkhead_in_flight") == value(metrics, "folio_bulkhead_waiting") == 0
        server = Server(turns=3)
        await asyncio.gather(*(through(bulkhead, server) for _ in range(in_flight)))
        assert server.most_at_once == in_flight, "a place was lost"

    asyncio.run(run())
