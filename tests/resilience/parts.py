"""Guards with small bounds, and a part that does as it is told."""

import asyncio
from dataclasses import dataclass, field

from pipeline.errors import DatabaseUnavailable
from pipeline.resilience.breaker import Breaker, BreakerBounds
from pipeline.resilience.bulkhead import Bulkhead, BulkheadBounds
from pipeline.resilience.guard import Guard
from pipeline.resilience.limiter import Limiter, LimiterBounds
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.retrying import RetryBounds, Retrying
from tests.support.clocks import HandClock

PART = "postgres"


@dataclass
class Guarded:
    """A guard, with what a test moves and looks at."""

    breaker_bounds: BreakerBounds = field(default_factory=lambda: BreakerBounds(open_seconds=60))
    retry_bounds: RetryBounds = field(default_factory=RetryBounds)
    limiter_bounds: LimiterBounds = field(default_factory=lambda: LimiterBounds(1_000_000, 0, 1))
    bulkhead_bounds: BulkheadBounds = field(default_factory=lambda: BulkheadBounds(10, 100, 5))
    clock: HandClock = field(default_factory=HandClock)
    metrics: ResilienceMetrics = field(default_factory=ResilienceMetrics)

    def __post_init__(self) -> None:
        self.guard = Guard(
            Breaker(PART, self.breaker_bounds, self.clock, self.metrics),
            Retrying(PART, self.retry_bounds, self.metrics, chance=no_pause),
            Limiter(PART, self.limiter_bounds, self.clock, self.metrics),
            Bulkhead(PART, self.bulkhead_bounds, self.clock, self.metrics),
        )

    def value(self, name: str, **labels: str) -> float:
        return value(self.metrics, name, **labels)


def value(metrics: ResilienceMetrics, name: str, **labels: str) -> float:
    """What a metric of the part shows."""
    found = metrics.registry.get_sample_value(name, {"part": PART, **labels})
    assert found is not None, f"{name} {labels} is not shown"
    return found


def no_pause(_least: float, _most: float) -> float:
    return 0.0


@dataclass
class Server:
    """Answers, or fails with `failure`, after some turns of the event loop."""

    failure: BaseException | None = None
    turns: int = 1
    calls: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def work(self) -> str:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            if self.failure is not None:
                raise self.failure
            return "answer"
        finally:
            self.at_once -= 1


def away() -> DatabaseUnavailable:
    return DatabaseUnavailable("connection refused")
