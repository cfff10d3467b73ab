"""How many calls a second a part is given: for what others bill, or share, or would block us for.

A leaky bucket, aiolimiter's: a second's calls may come at once, then they come evenly. It reads the event loop's time
and takes no clock; ours only measures the waits.
"""

from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from pipeline.clock import Clock
from pipeline.errors import RateLimited
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.queueing import Queue, QueueRefused


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
        self._bucket = AsyncLimiter(bounds.calls_per_second, time_period=1)
        waiting, seconds = metrics.limiter_waiting.labels(name), metrics.limiter_wait_seconds.labels(name)
        self._queue = Queue(bounds.waiting_max, bounds.wait_seconds_max, clock, waiting, seconds)
        self._refused = metrics.refused.labels(name, "limiter")

    async def turn(self) -> None:
        """Return when it is this call's turn. Raises RateLimited."""
        if self._bucket.has_capacity():
            await self._bucket.acquire()  # at once: it only waits without capacity
        else:
            await self._wait()

    async def _wait(self) -> None:
        try:
            await self._queue.wait(self._bucket.acquire)
        except QueueRefused as refused:
            many, long = self._bounds.waiting_max, self._bounds.wait_seconds_max
            raise self._over(
                f"{many} more wait for their turn" if refused.crowded else f"its turn did not come within {long:g} s"
            ) from None

    def _over(self, why: str) -> RateLimited:
        self._refused.inc()
        return RateLimited(
            f"{self._name} was not called: it is given {self._bounds.calls_per_second:g} calls a second, and {why}. "
            "Call it less, or again later; if it can take more, allow more"
        )
