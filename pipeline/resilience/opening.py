"""The assembly: the guard of a part, made from settings."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.clock import Clock
from pipeline.resilience.breaker import Breaker, BreakerBounds
from pipeline.resilience.bulkhead import Bulkhead, BulkheadBounds
from pipeline.resilience.guard import Guard
from pipeline.resilience.limiter import Limiter, LimiterBounds
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.retrying import RetryBounds, Retrying
from pipeline.settings_serving import ResilienceSettings


class Part(StrEnum):
    """What is guarded, by the name that it has in settings, metrics and logs."""

    POSTGRES = "postgres"
    REDIS = "redis"
    KAFKA = "kafka"
    CDN = "cdn"


def new_guard(part: Part, settings: ResilienceSettings, clock: Clock, metrics: ResilienceMetrics) -> Guard:
    """The guard of a part. A process has one of each, or they would count apart."""
    in_flight_max, calls_per_second = _sizes(part, settings)
    return Guard(
        Breaker(part, BreakerBounds(settings.breaker_failures, settings.breaker_open_seconds), clock, metrics),
        Retrying(part, _retry_bounds(settings), metrics),
        Limiter(
            part,
            LimiterBounds(calls_per_second, settings.waiting_max, settings.wait_seconds_max),
            clock,
            metrics,
        ),
        Bulkhead(part, BulkheadBounds(in_flight_max, settings.waiting_max, settings.wait_seconds_max), clock, metrics),
    )


@dataclass(frozen=True, slots=True)
class Guards:
    """Those of a worker: one of each part, which every call of the process passes."""

    postgres: Guard
    redis: Guard
    kafka: Guard
    cdn: Guard


def worker_guards(settings: ResilienceSettings, clock: Clock, metrics: ResilienceMetrics) -> Guards:
    """The guards of who waits for a part whatever comes (docs/resilience.md, "In a worker")."""
    patient = of_worker(settings)
    return Guards(*(new_guard(part, patient, clock, metrics) for part in Part))


def of_worker(settings: ResilienceSettings) -> ResilienceSettings:
    """The same, with circuits that stay open for as long as a worker's do."""
    return settings.model_copy(update={"breaker_open_seconds": settings.worker_open_seconds})


def _retry_bounds(settings: ResilienceSettings) -> RetryBounds:
    return RetryBounds(
        attempts=settings.retry_attempts,
        backoff_seconds=settings.retry_backoff_seconds,
        backoff_max_seconds=settings.retry_backoff_max_seconds,
        budget_share=settings.retry_budget_share,
        budget_saved_max=settings.retry_budget_saved_max,
    )


def _sizes(part: Part, settings: ResilienceSettings) -> tuple[int, float]:
    """Calls at once, and calls a second."""
    return {
        Part.POSTGRES: (settings.postgres_in_flight_max, settings.postgres_calls_per_second),
        Part.REDIS: (settings.redis_in_flight_max, settings.redis_calls_per_second),
        Part.KAFKA: (settings.kafka_in_flight_max, settings.kafka_calls_per_second),
        Part.CDN: (settings.cdn_in_flight_max, settings.cdn_calls_per_second),
    }[part]
