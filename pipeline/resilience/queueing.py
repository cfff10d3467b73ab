"""A bounded wait: so many callers at once, each for so long. A queue without an end only makes late answers."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge, Histogram

from pipeline.clock import Clock


class QueueRefused(Exception):
    """Not taken in, or waited in vain; `crowded` tells which."""

    def __init__(self, *, crowded: bool) -> None:
        super().__init__("too many wait" if crowded else "waited for too long")
        self.crowded = crowded


class Queue:
    """Callers that wait for something of a part.

    The clock measures waits; what ends them is the event loop's time, for timeouts of asyncio take no clock.
    """

    def __init__(
        self, waiting_max: int, wait_seconds_max: float, clock: Clock, shown: Gauge, seconds: Histogram
    ) -> None:
        self._waiting_max = waiting_max
        self._wait_seconds_max = wait_seconds_max
        self._clock = clock
        self._waiting = 0
        self._shown = shown
        self._seconds = seconds

    async def wait(self, acquire: Callable[[], Awaitable[object]]) -> None:
        """Acquire it, in the order of whatever is acquired. Raises QueueRefused."""
        if self._waiting >= self._waiting_max:
            raise QueueRefused(crowded=True)
        began = self._clock.monotonic()
        self._count(+1)
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                await acquire()
        except TimeoutError:
            raise QueueRefused(crowded=False) from None
        finally:
            self._count(-1)
            self._seconds.observe(self._clock.monotonic() - began)

    def _count(self, change: int) -> None:
        self._waiting += change
        self._shown.set(self._waiting)
