"""Work in a thread of its own: its answer, its errors, and its end with whoever waits for it."""

import asyncio
import threading
import time

import pytest

from pipeline.api.apart import apart


async def test_it_answers_from_another_thread_while_this_loop_turns() -> None:
    async def blocks() -> int:
        time.sleep(0.3)  # noqa: ASYNC251  # what it is for
        return threading.get_ident()

    working, turns = asyncio.create_task(apart(blocks)), 0
    while not working.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert await working != threading.get_ident()
    assert turns > 5


async def test_what_it_raises_arrives() -> None:
    async def fails() -> None:
        raise ValueError("there")

    with pytest.raises(ValueError, match="there"):
        await apart(fails)


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_cancelled_it_has_ended_when_its_caller_goes_on(seconds: float) -> None:
    events: list[str] = []

    async def lasts() -> None:
        events.append("begun")
        try:
            await asyncio.sleep(30)
        finally:
            events.append("ended")

    working = asyncio.create_task(apart(lasts))
    await asyncio.sleep(seconds)
    working.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert time.monotonic() - began < 5
    assert events in ([], ["begun", "ended"])
    if seconds:
        assert events
