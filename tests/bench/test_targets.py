"""Verdicts: met, not met, or nothing measured that could tell."""

import pytest

from bench.results import Verdict, figure
from bench.scenarios import SCENARIOS
from bench.targets import THRESHOLDS, Relation, Threshold, difference_count, judge, median, most, ratio
from tests.bench.made import rate, results, scenario


def verdict(relation: Relation, found: float) -> Verdict:
    threshold = Threshold("drain", "a rate", relation, 10, "ev/s", median("drain", "events_per_second"))
    return threshold.verdict(results(scenario("drain", rate(found))))


@pytest.mark.parametrize(
    ("relation", "found", "met"),
    [
        ("at least", 10, True),
        ("at least", 9.99, False),
        ("above", 10.01, True),
        ("above", 10, False),
        ("below", 9.99, True),
        ("below", 10, False),
        ("at most", 10, True),
        ("at most", 10.01, False),
    ],
)
def test_met_or_not(relation: Relation, found: float, met: bool) -> None:
    assert verdict(relation, found).met is met


def test_what_was_not_measured_is_neither() -> None:
    threshold = Threshold("drain", "a rate", "at least", 10, "ev/s", median("drain", "events_per_second"))
    for run in (results(), results(scenario("drain")), results(scenario("drain", rate(99), missing="failed"))):
        assert threshold.verdict(run).met is None


def test_a_bound_that_may_never_be_passed_is_judged_by_the_worst_round() -> None:
    run = results(scenario("drain", rate(1, 2, 9)))
    assert median("drain", "events_per_second")(run) == 2
    assert most("drain", "events_per_second")(run) == 9


def test_a_ratio_needs_both() -> None:
    share = ratio(median("drain", "events_per_second"), median("limit", "events_per_second"))
    assert share(results(scenario("drain", rate(40)), scenario("limit", rate(50)))) == pytest.approx(0.8)
    assert share(results(scenario("drain", rate(40)))) is None


def test_a_proof_that_failed_counts() -> None:
    assert difference_count(results(scenario("drain", differences=0))) == 0
    assert difference_count(results(scenario("drain", differences=3), scenario("live", differences=None))) == 4
    assert difference_count(results(scenario("drain", missing="failed"))) is None


def test_the_drain_is_judged_by_its_figures() -> None:
    memory = figure("peak_mib_workers", "MiB", [200, 310])
    share = figure("drain_share_of_limit", "of limit", [0.7, 0.81, 0.9])
    run = results(scenario("drain", rate(60_000), memory), scenario("limit", share))
    verdicts = {each.target: each.met for each in judge(run) if each.scenario == "drain"}
    assert list(verdicts.values()) == [True, True, False]


def test_every_target_belongs_to_a_scenario() -> None:
    assert {threshold.scenario for threshold in THRESHOLDS} <= SCENARIOS.keys() | {"all"}
