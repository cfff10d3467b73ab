"""Pausing: what a worker tells of paused lanes is of those that it has."""

from unittest.mock import Mock

from consumers.pausing import Pause, Pausing
from pipeline.metrics import Metrics


def paused_lanes(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("folio_lanes_paused")


def test_a_paused_lane_that_goes_to_another_worker_is_that_ones_to_tell() -> None:
    metrics = Metrics()
    Pausing(Mock(), {0: Pause("me", "a look at it")}, [0, 1], Mock(), Mock(), metrics)
    assert paused_lanes(metrics) == 1
    metrics.lanes_given_up()
    Pausing(Mock(), {}, [1], Mock(), Mock(), metrics)
    assert paused_lanes(metrics) == 0
