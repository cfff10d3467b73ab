"""What a gate refuses is waited for, for as long as the gate says."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from uuid_utils.compat import uuid7

from batchers.drain import Drain, Effect
from batchers.gate import pause_after
from batchers.outbox import OutboxRow
from pipeline.errors import BulkheadFull, CacheUnavailable, CircuitOpen, NotAsked, RateLimited


@pytest.mark.parametrize(
    ("refusal", "pause"),
    [
        (CircuitOpen("was away", 0.7), 0.7),
        (RateLimited("too many a second"), True),
        (BulkheadFull("too many at once"), True),
    ],
)
def test_an_open_circuit_says_when_to_come_again(refusal: NotAsked, pause: float | bool) -> None:
    assert pause_after(refusal) is pause or pause_after(refusal) == pause


async def test_an_effect_that_was_refused_is_done_as_soon_as_its_gate_opens() -> None:
    """And not after the pause that has grown for a part that is away: by now that would be ten seconds and more."""
    refusals = 12
    done: list[int] = []

    async def effect(rows: Sequence[OutboxRow]) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise CircuitOpen("is being looked for by another call", 0.01)
        done.extend(row.seq for row in rows)

    began = time.monotonic()
    await carried(effect)
    assert done == [1]
    assert time.monotonic() - began < 3


async def test_an_effect_that_is_refused_for_ever_is_given_up_in_time() -> None:
    """So that a session with new clients follows, as it does where the broker itself fails for so long."""

    async def effect(_rows: Sequence[OutboxRow]) -> None:
        raise CircuitOpen("was away", 0.01)

    with pytest.raises(CircuitOpen):
        await carried(effect, give_up_seconds=0.2)


async def test_a_gate_of_nobody_else_changes_nothing_of_the_pauses() -> None:
    tries = 0

    async def effect(_rows: Sequence[OutboxRow]) -> None:
        nonlocal tries
        tries += 1
        raise CacheUnavailable("away")

    with pytest.raises(CacheUnavailable):
        await carried(effect, give_up_seconds=0.5)
    assert tries < 10


async def carried(effect: Effect, give_up_seconds: float | None = None) -> None:
    """One row, through a drain with the pauses of a worker."""

    async def reload(_lane: int, _after: int, _bytes_max: int) -> list[OutboxRow]:
        return []

    drain = Drain(
        "effect",
        effect,
        reload,
        {0: 0},
        {0: 0},
        waiting_max=2,
        pause_max_seconds=30,
        give_up_seconds=give_up_seconds,
    )
    drain.offer([OutboxRow(0, 1, (), uuid7())])
    running = asyncio.create_task(drain.run())
    waiting = asyncio.create_task(drain.wait_until_done())
    ended, _ = await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED, timeout=20)
    for task in (running, waiting):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    for task in ended:
        task.result()
