"""How many calls a part works on at once, and how many may wait for that, for how long.

Without it a part that turns slow takes every task and connection of the process, and with them whatever else they were
for. Both waits are bounded: a queue without an end only turns an overload into answers that come when nobody wants
them any more.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.errors import BulkheadFull
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.queueing import Queue, QueueRefused


@dataclass(frozen=True, slots=True)
class BulkheadBounds:
    """Calls at once, calls that wait, and how long one waits."""

    in_flight_max: int
    waiting_max: int
    wait_seconds_max: float


class Bulkhead:
    """Places for calls to the part `name`, given in the order in which they were asked for."""

    def __init__(self, name: str, bounds: BulkheadBounds, clock: Clock, metrics: ResilienceMetrics) -> None:
        self._name = name
        self._bounds = bounds
        self._places = asyncio.Semaphore(bounds.in_flight_max)
        self._in_flight = metrics.bulkhead_in_flight.labels(name)
        waiting, seconds = metrics.bulkhead_waiting.labels(name), metrics.bulkhead_wait_seconds.labels(name)
        self._queue = Queue(bounds.waiting_max, bounds.wait_seconds_max, clock, waiting, seconds)
        self._refused = metrics.refused.labels(name, "bulkhead")

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place while the block runs. Raises BulkheadFull."""
        if self._places.locked():
            await self._wait()
        else:
            await self._places.acquire()  # at once: it only waits while locked
        self._in_flight.inc()
        try:
            yield
        finally:
            self._in_flight.dec()
            self._places.release()

    async def _wait(self) -> None:
        try:
            await self._queue.wait(self._places.acquire)
        except QueueRefused as refused:
            many, long = self._bounds.waiting_max, self._bounds.wait_seconds_max
            raise self._full(
                f"{many} more wait" if refused.crowded else f"none of them ended within {long:g} s"
            ) from None

    def _full(self, why: str) -> BulkheadFull:
        self._refused.inc()
        return BulkheadFull(
            f"{self._name} was not called: it works on {self._bounds.in_flight_max} calls, and {why}. "
            "Call it less, or again later; if it keeps up, allow more at once"
        )
