"""The order to stop: given once, known everywhere, and with one deadline over all that is still to be done."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# What is left of the grace when draining must give up: leaving the group and closing the producer take time as well,
# and a member that leaves hands its lanes over at once, where one that vanishes holds them until its session ends.
_LEAVING_SHARE = 0.2


class Stop:
    """Asked for by a signal; awaited by whoever works."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._requested = asyncio.Event()
        self._deadline: float | None = None
        self._bound: asyncio.Timeout | None = None

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """Around all the work: TimeoutError comes out of it when the grace is over."""
        async with asyncio.timeout(self.seconds_left() if self.requested else None) as bound:
            self._bound = bound
            try:
                yield
            finally:
                self._bound = None  # it cannot be changed any more, and an order may still come

    def request(self) -> None:
        """Begin to stop, from within the event loop. Asking again does not prolong the grace."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace_seconds
            self._requested.set()
            if self._bound is not None:
                self._bound.reschedule(asyncio.get_running_loop().time() + self._grace_seconds)

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    async def wait(self) -> None:
        """Return when the order is given."""
        await self._requested.wait()

    def seconds_left(self) -> float:
        """What is left of the grace; all of it, as long as nobody asked."""
        if self._deadline is None:
            return self._grace_seconds
        return max(self._deadline - time.monotonic(), 0.0)

    def seconds_left_to_drain(self) -> float:
        """What is left for writing and publishing what has gathered; then it is time to leave."""
        return max(self.seconds_left() - self._grace_seconds * _LEAVING_SHARE, 0.0)
