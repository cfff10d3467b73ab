"""Which rate was held, and what the figures of rounds say."""

import pytest

from bench.live.generator import Sent
from bench.live.resolving import Latencies
from bench.live.stepping import Step, cores
from bench.live.telling import accounts_table, cpu_table, held, latency_table, told
from bench.scenarios.live import by_rate, figures


def step(rate: float, update_ms: int, caught_up_seconds: float = 0.1, workers: float = 0.2) -> Step:
    latencies = Latencies()
    for _ in range(100):
        latencies.update.record_ns(update_ms * 1_000_000)
        latencies.commit.record_ns(update_ms * 1_000_000 // 2)
    return Step(
        rate=rate,
        sent=Sent(100, 1.0, 0.5),
        latencies=latencies,
        lag_records_max=50,
        caught_up_seconds=caught_up_seconds,
        updates=90,
        cpu={"workers": workers},
        peaks_mib={"workers": 100.0},
    )


@pytest.mark.parametrize(
    ("measured", "is_held"),
    [(step(500, 20), True), (step(500, 1_100), False), (step(500, 20, caught_up_seconds=3), False)],
)
def test_a_rate_is_held_without_late_updates_and_without_a_growing_backlog(measured: Step, is_held: bool) -> None:
    assert held(measured) is is_held
    assert ("not held" in told(measured)) is not is_held


def test_the_highest_rate_is_that_of_each_round() -> None:
    rounds = [[step(500, 20), step(5_000, 300)], [step(500, 30), step(5_000, 2_000)], [step(500, 10), step(5_000, 90)]]
    found = {figure.name: figure for figure in figures(rounds)}
    assert found["highest_rate_p99_below_1s"].rounds == [5_000, 500, 5_000]
    assert found["update_p99_ms_at_5000"].median == pytest.approx(300, rel=0.01)
    assert found["worker_cores_at_500"].median == 0.2
    assert list(by_rate(rounds)) == [500, 5_000]


def test_tables_have_a_cell_for_each_column() -> None:
    steps = {"500/s": [step(500, 20), step(500, 40)]}
    for table in (latency_table(steps), cpu_table(steps), accounts_table(steps)):
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_worker_that_lags_uses_no_fewer_cores_for_it() -> None:
    level = cores({"workers": 2.0, "other": 1.0}, offered_seconds=10, passed_seconds=10)
    lagging = cores({"workers": 2.0, "other": 4.0}, offered_seconds=10, passed_seconds=40)
    assert level == lagging == {"workers": 0.2, "other": 0.1}
