"""A publication waits for a broker that is away, as a client of Kafka's would: for so long, and so many at once.

A broker that has died has no successor for up to its session's timeout, 9 s, and one that has none is back in a quarter
of a minute: whoever would be refused meanwhile would only come again.

Pauses are by chance, so that whoever waits does not come back together. Who pauses holds no place in front of the
broker, and while its circuit is open one of them at a time finds out whether it is back: the others only ask the
circuit. So what is sent twice stays little.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from pipeline.api.metrics import ApiMetrics
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailable, NotAsked, Transient

T = TypeVar("T")
_PAUSE_SECONDS: Final = (0.2, 0.5)


@dataclass(frozen=True, slots=True)
class PatienceBounds:
    """For how long each waits, and how many do at once. No attempt begins after that; the last one may end later."""

    seconds: float
    waiting_max: int


class Patience:
    """Those of one process."""

    def __init__(self, bounds: PatienceBounds, clock: Clock, metrics: ApiMetrics) -> None:
        self._bounds = bounds
        self._clock = clock
        self._refused = metrics.refused.labels("broker_waiting")
        self._waiting = 0
        self._ended = False
        metrics.publications_waiting.set_function(lambda: self._waiting)

    def end(self) -> None:
        """From now on nobody waits: the process is to end, and another one may take what was sent to it."""
        self._ended = True

    async def call(
        self,
        work: Callable[[], Awaitable[T]],
        is_away: Callable[[Transient], bool],
        gone: Callable[[], Awaitable[None]],
    ) -> T:
        """What `work` returns, of an attempt that does. Raises what the last one raised.

        `is_away`: whether the first failure is one that waiting may help. `gone` returns when nobody wants it any more.
        """
        deadline = self._clock.monotonic() + self._bounds.seconds
        try:
            return await work()
        except Transient as error:
            if self._ended or self._clock.monotonic() >= deadline or not is_away(error):
                raise
            failed = error
        with self._place(failed):
            leaving = asyncio.ensure_future(gone())
            try:
                return await self._again(work, failed, leaving, deadline)
            finally:
                leaving.cancel()
                await asyncio.wait([leaving])  # it must not take what the next one who looks is to be told

    async def _again(
        self, work: Callable[[], Awaitable[T]], failed: Transient, leaving: asyncio.Future[None], deadline: float
    ) -> T:
        while await self._may_go_on(leaving, deadline):
            try:
                return await work()
            # A crowd that comes back together is refused places and turns: that is no reason to give up here.
            except (BrokerUnavailable, NotAsked) as error:
                failed = error
        raise failed

    async def _may_go_on(self, leaving: asyncio.Future[None], deadline: float) -> bool:
        """After a pause: whether there is to be another attempt."""
        left = deadline - self._clock.monotonic()
        if left <= 0:
            return False
        pause = random.uniform(*_PAUSE_SECONDS)  # noqa: S311  # jitter, no secret
        await asyncio.wait([leaving], timeout=min(left, pause))
        return not (leaving.done() or self._ended)

    @contextmanager
    def _place(self, failed: Transient) -> Iterator[None]:
        """Raises the failure where as many wait as may."""
        if self._waiting >= self._bounds.waiting_max:
            self._refused.inc()
            raise failed
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
