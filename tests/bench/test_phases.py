"""The thresholds of the load tests: each is printed, and what counts as an error is what the definition says."""

import pytest

from bench.live.spreading import outcomes, unevenness
from bench.phase_targets import THRESHOLDS
from bench.scenarios.phases import step_seconds
from bench.serve.phasing import Broken, broken_figures, replica_share
from bench.serve.server import Samples

SERVED = {
    "answers to reads, p99",
    "cache hits",
    "reads from replicas",
    "the database's circuit opens and closes",
    "service latency, p95",
}


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
    errors = {(each.scenario, each.bound) for each in THRESHOLDS if "not applied" in each.says}
    failed = {(each.scenario, each.bound) for each in THRESHOLDS if "failed" in each.says}
    assert errors == failed == {("phase1", 0.01), ("phase2", 0.005), ("phase3", 0.005)}
    served = {(each.scenario, each.says, each.relation, each.bound) for each in THRESHOLDS if each.says in SERVED}
    assert served == {
        ("phase1", "answers to reads, p99", "below", 1_000),
        ("phase1", "cache hits", "above", 0.8),
        ("phase2", "reads from replicas", "above", 0.4),
        ("phase3", "the database's circuit opens and closes", "at least", 1),
        ("phase3", "service latency, p95", "below", 50),
    }


def reads(**servers: float) -> Samples:
    return {("folio_reads_total", frozenset({("server", name)})): count for name, count in servers.items()}


def test_the_share_of_replicas_is_of_what_databases_answered_meanwhile() -> None:
    before, after = reads(primary=100, replica1=0), reads(primary=160, replica1=30, replica2=10)
    assert replica_share(before, after) == pytest.approx(0.4)
    assert replica_share(before, before) is None


def test_a_circuit_that_never_opened_does_not_work() -> None:
    assert broken_figures(Broken(opened=1, closed=1, refused=7, closed_seconds=2))[0].median == 1
    assert broken_figures(Broken(opened=0, closed=0, refused=0, closed_seconds=0))[0].median == 0
    assert broken_figures(Broken(opened=1, closed=0, refused=7, closed_seconds=60))[0].median == 0
