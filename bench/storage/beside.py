"""Something is done while events come in at a rate."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.live.stepping import Rig, Step

T = TypeVar("T")

# What is sent is made before, and held in memory; between two steps nothing comes for as long as making it takes.
_STEP_SECONDS: float = 10.0


@dataclass(frozen=True, slots=True)
class Beside(Generic[T]):
    """What was found, and the steps of load that went on meanwhile."""

    found: T
    steps: Sequence[Step]


async def beside(rig: Rig, rate: float, work: Awaitable[T]) -> Beside[T]:
    """Offer `rate` events a second until the work is done. Raises what the work raises."""
    steps: list[Step] = []
    working = asyncio.ensure_future(work)
    try:
        while not working.done():
            steps.append(await rig.step(rate, _STEP_SECONDS))
        return Beside(await working, steps)
    finally:
        working.cancel()
        await asyncio.wait({working})
