"""Everything that guards one part, in the one order in which it is right.

    retry ( circuit?  ->  turn by rate  ->  place among those in flight  ->  circuit  ->  work )

- **Retry is outermost**: every attempt passes every gate, as any other call does. So retries count in the rate and in
  the bulkhead, each attempt counts for the circuit, and no retry reaches a part whose circuit has opened meanwhile. And
  who pauses between two attempts holds no place that somebody else could use. With the retry within the circuit, three
  failures would count as one, and the retries of a hundred callers would go on against an open circuit.
- **The circuit is asked first**, and nothing is taken: what it refuses must wait for nothing, and use up no turn.
- **The turn comes before the place**: who waits for a turn does nothing yet, and must not hold a place meanwhile.
- **The circuit is passed last**, once nothing has to be waited for any more: it may have opened while we waited, and a
  probe that still had to wait for its place would keep everybody else out.

Refusals of a gate are not tried again: the next attempt would meet the same gate.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from pipeline.resilience.breaker import Breaker
from pipeline.resilience.bulkhead import Bulkhead
from pipeline.resilience.limiter import Limiter
from pipeline.resilience.retrying import Retrying

T = TypeVar("T")


class Guard:
    """The one way to a part.

    `work` bounds its own time, within: a deadline around the guard cancels the call, which says nothing of the part.
    """

    def __init__(self, breaker: Breaker, retrying: Retrying, limiter: Limiter, bulkhead: Bulkhead) -> None:
        self.breaker = breaker
        self._retrying = retrying
        self._limiter = limiter
        self._bulkhead = bulkhead

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns; it may be called several times, so it must bear that.

        Raises what it raises; CircuitOpen, RateLimited or BulkheadFull when it was not called.
        """
        return await self._retrying.call(partial(self.call_once, work))

    async def call_once(self, work: Callable[[], Awaitable[T]]) -> T:
        """The same without retries: for work that must not run twice, and for who has a patience of their own."""
        self.breaker.check()
        await self._limiter.turn()
        async with self._bulkhead.place():
            with self.breaker.passing():
                return await work()
