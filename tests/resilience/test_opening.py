"""A guard made from settings has their bounds."""

import pytest

from pipeline.errors import CircuitOpen, DatabaseUnavailable, SettingsRefused
from pipeline.resilience.breaker import BreakerBounds, State
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard, worker_guards
from pipeline.resilience.retrying import RetryBounds
from pipeline.settings import load
from pipeline.settings_serving import ResilienceSettings
from tests.resilience.parts import Server, away
from tests.support.clocks import HandClock


@pytest.mark.parametrize("part", Part)
def test_every_part_has_sizes_of_its_own(part: Part) -> None:
    settings = ResilienceSettings()
    guard = new_guard(part, settings, HandClock(), ResilienceMetrics())
    assert guard._bulkhead._bounds.in_flight_max == getattr(settings, f"{part}_in_flight_max")
    assert guard._limiter._bounds.calls_per_second == getattr(settings, f"{part}_calls_per_second")


def test_the_defaults_of_the_settings_are_those_of_the_bounds() -> None:
    guard = new_guard(Part.REDIS, ResilienceSettings(), HandClock(), ResilienceMetrics())
    assert guard.breaker._bounds == BreakerBounds() == BreakerBounds(5, 2)
    assert guard._retrying._bounds == RetryBounds()


def test_guards_of_several_parts_share_metrics() -> None:
    metrics = ResilienceMetrics()
    for part in Part:
        new_guard(part, ResilienceSettings(), HandClock(), metrics)
    for part in Part:
        assert metrics.registry.get_sample_value("folio_circuit_state", {"part": part.value}) == 0


async def test_a_worker_looks_for_each_of_its_parts_again_within_a_second() -> None:
    """It has nothing to do without them: each second more is one of lag."""
    clock, metrics = HandClock(), ResilienceMetrics()
    guards = worker_guards(ResilienceSettings(), clock, metrics)
    for guard in (guards.postgres, guards.redis, guards.kafka, guards.cdn):
        for _ in range(5):
            with pytest.raises(DatabaseUnavailable):
                await guard.call_once(Server(away()).work)
        with pytest.raises(CircuitOpen) as refused:
            await guard.call_once(Server().work)
        assert 0 < refused.value.seconds <= 1
    clock.pass_seconds(1)
    for guard in (guards.postgres, guards.redis, guards.kafka, guards.cdn):
        assert await guard.call_once(Server().work) == "answer"
        assert guard.breaker.state is State.CLOSED


def test_a_first_pause_above_the_longest_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="retry_backoff_seconds must not be above retry_backoff_max_seconds"):
        load({"FOLIO_RESILIENCE_RETRY_BACKOFF_SECONDS": "2"})
