"""The thresholds of the load tests: each is printed, and what counts as an error is what the definition says."""

import pytest

from bench.live.spreading import outcomes, unevenness
from bench.phase_targets import THRESHOLDS, Elsewhere
from bench.scenarios.phases import step_seconds


def lane(number: int, **counts: int) -> dict[str, int]:
    return {"lane": number, "applied": 0, "duplicate": 0, "stale": 0, "conflict": 0, "quarantined": 0} | counts


def test_a_repetition_is_no_error_and_everything_else_is() -> None:
    found = outcomes([lane(0, applied=90, duplicate=5), lane(1, stale=1, conflict=1, quarantined=1)])
    assert found.errors(sent=100) == pytest.approx(0.05)  # three that came to nothing, two that were never consumed
    assert found.consumed.parts == {"lane 0": 95, "lane 1": 3}


def test_unevenness_is_the_largest_against_the_mean() -> None:
    assert unevenness([1, 1, 1, 1]) == 1
    assert unevenness([3, 1, 0, 0]) == 3
    assert unevenness([0, 0]) == 0


@pytest.mark.parametrize(("seconds", "steps"), [(10, 1), (30, 1), (31, 2), (180, 6)])
def test_long_phases_are_sent_in_steps_of_a_bounded_length(seconds: float, steps: int) -> None:
    found = step_seconds(seconds)
    assert len(found) == steps
    assert sum(found) == pytest.approx(seconds)


def test_every_threshold_of_the_requirement_is_there() -> None:
    measured = [each for each in THRESHOLDS if not isinstance(each, Elsewhere)]
    elsewhere = [(each.scenario, each.says) for each in THRESHOLDS if isinstance(each, Elsewhere)]
    assert {(each.scenario, each.bound) for each in measured if "not applied" in each.says} == {
        ("phase1", 0.01),
        ("phase2", 0.005),
        ("phase3", 0.005),
    }
    assert elsewhere == [
        ("phase1", "responses"),
        ("phase1", "cache hits"),
        ("phase2", "reads from replicas"),
        ("phase3", "the circuit breaker opens and closes"),
        ("phase3", "service latency"),
    ]
