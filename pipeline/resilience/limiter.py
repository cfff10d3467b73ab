"""How many calls a second a part is given: for what others bill, or share, or would block us for.

A leaky bucket, aiolimiter's: a second's calls may come at once, then they come evenly. It reads the event loop's time
and takes no clock; ours only measures the waits.
"""

import asyncio
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from pipeline.clock import Clock
from pipeline.errors import RateLimited
from pipeline.resilience.metrics import ResilienceMetrics


@dataclass(frozen=True, slots=True)
class LimiterBounds:
    """Calls a second, calls that wait for their turn, and how long one waits."""

    calls_per_second: float
    waiting_max: int
    wait_seconds_max: float


class Limiter:
    """Turns for calls to the part `name`."""

    def __init__(self, name: str, bounds: LimiterBounds, clock: Clock, metrics: ResilienceMetrics) -> None:
        self._name = name
        self._bounds = bounds
        self._clock = clock
        self._bucket = AsyncLimiter(bounds.calls_per_second, time_period=1)
        self._waiting = 0
        self._waiting_shown = metrics.limiter_waiting.labels(name)
        self._wait_seconds = metrics.limiter_wait_seconds.labels(name)
        self._refused = metrics.refused.labels(name, "limiter")

    async def turn(self) -> None:
        """Return when it is this call's turn. Raises RateLimited."""
        if self._bucket.has_capacity():
            await self._bucket.acquire()  # at once: it only waits without capacity
        else:
            await self._wait()

    async def _wait(self) -> None:
        bounds = self._bounds
        if self._waiting >= bounds.waiting_max:
            raise self._over(f"{bounds.waiting_max} more wait for their turn")
        began = self._clock.monotonic()
        self._count(+1)
        try:
            async with asyncio.timeout(bounds.wait_seconds_max):
                await self._bucket.acquire()
        except TimeoutError:
            raise self._over(f"its turn did not come within {bounds.wait_seconds_max:g} s") from None
        finally:
            self._count(-1)
            self._wait_seconds.observe(self._clock.monotonic() - began)

    def _count(self, change: int) -> None:
        self._waiting += change
        self._waiting_shown.set(self._waiting)

    def _over(self, why: str) -> RateLimited:
        self._refused.inc()
        return RateLimited(
            f"{self._name} was not called: it is given {self._bounds.calls_per_second:g} calls a second, and {why}. "
            "Call it less, or again later; if it can take more, allow more"
        )
