"""A call that found its part away is made again: after a pause by chance, a few times, and within a budget.

Full jitter: each pause is anything between nothing and a bound that doubles. Callers that failed together come back
apart; a jitter on top of an exponential pause would keep them in step (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015).

Trying again is stamina's. It reads the event loop's time, and takes no clock.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from pipeline.errors import NotAsked, Transient
from pipeline.resilience.budget import RetryBudget
from pipeline.resilience.evidence import worth_another_try
from pipeline.resilience.metrics import ResilienceMetrics

T = TypeVar("T")
Chance = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class RetryBounds:
    """How often a call is made in all, the bounds of the pauses between, and what the budget gives."""

    attempts: int = 3
    backoff_seconds: float = 0.05
    backoff_max_seconds: float = 1
    budget_share: float = 0.2
    budget_saved_max: int = 10

    def pause_max(self, attempt: int) -> float:
        """The longest pause after this attempt; the first is 1."""
        return min(self.backoff_max_seconds, self.backoff_seconds * 2.0 ** (attempt - 1))


class Retrying:
    """Retries of calls to the part `name`."""

    def __init__(
        self, name: str, bounds: RetryBounds, metrics: ResilienceMetrics, chance: Chance = random.uniform
    ) -> None:
        self._name = name
        self._bounds = bounds
        self._budget = RetryBudget(bounds.budget_share, bounds.budget_saved_max)
        self._chance = chance
        self._retries = metrics.retries.labels(name)
        self._retries_refused = metrics.retries_refused.labels(name)

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, of an attempt that does. Raises what the last attempt raised."""
        # Most calls need no second attempt: the first one is made without the library, whose objects cost 26 us a call,
        # and form cycles that stay until the collector comes.
        try:
            answer = await work()
        except NotAsked:
            raise  # it has not come to the part: it pays for no retry, and would be refused again
        except (Transient, OSError) as error:
            self._budget.pay()
            failed = error
        else:
            self._budget.pay()
            return answer
        try:
            return await self._again(failed, work)
        except NotAsked as refusal:
            # Of this call the part has seen an attempt: "not asked" would be untrue, and is what callers go by.
            raise failed from refusal

    async def _again(self, failed: Exception, work: Callable[[], Awaitable[T]]) -> T:
        """Go on from a first attempt that failed so."""
        # Each attempt and each pause is bounded, and so is their sum: no time limit of the library's besides.
        tries = stamina.retry_context(on=self._pauses(), attempts=self._bounds.attempts, timeout=None)
        async for attempt in tries.with_name(self._name, (), {}):
            with attempt:
                if attempt.num == 1:
                    raise failed
                return await work()
        raise AssertionError("the last attempt returns or raises")

    def _pauses(self) -> Callable[[Exception], float | bool]:
        """What the library asks after each failure: how long to wait for the next attempt, or False for none."""
        attempt = 0

        def pause(error: Exception) -> float | bool:
            nonlocal attempt
            attempt += 1
            # Also asked after the last attempt, for which nothing may be taken from the budget.
            if attempt >= self._bounds.attempts or not worth_another_try(error):
                return False
            if not self._budget.take():
                self._retries_refused.inc()
                return False
            self._retries.inc()
            return self._chance(0, self._bounds.pause_max(attempt))

        return pause
