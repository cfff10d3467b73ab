"""Which points the curves have, and what is read from their rounds."""

from dataclasses import replace

import pytest

from bench.database import Written
from bench.draining import Round
from bench.scaling.bends import BALANCES, balance_rows, bend, carried_row_us, ratios, slope
from bench.scaling.filling import planned
from bench.scaling.measuring import Measured
from bench.scaling.points import CARRIED, EQUAL_COALESCING, FILLED, Point, curves
from bench.scenarios.scale import bends_table, figures
from bench.workload import mixed


def round_of(rate: float, *, rows_per_event: float = 1.0, database_us: float = 20.0) -> Round:
    events = 1_000
    return Round(
        events,
        claimed=0.0,
        ended=events / rate,
        cpu={"database": database_us * events / 1e6, "workers": 0.01},
        written=[
            Written(BALANCES, int(rows_per_event * events), 0, 0, 0),
            Written("event_store.events", 9_999, 0, 0, 0),
        ],
    )


@pytest.mark.parametrize("full", [True, False])
def test_every_curve_goes_through_two_points_or_more_in_the_order_of_what_grows(full: bool) -> None:
    for curve in curves(1_000, full=full):
        points = [point for _, point in curve.points]
        assert len(points) >= 2
        assert len(set(points)) == len(points)
        assert [x for x, _ in curve.points] == sorted(x for x, _ in curve.points)


def test_curves_share_the_usual_point() -> None:
    usual = Point(mixed(1_000, properties_loaded=True))
    sharing = [curve for curve in curves(1_000, full=True) if usual in [point for _, point in curve.points]]
    assert [curve.name for curve in sharing] == ["organisations", "lanes", "workers", "batch bound", "late events"]


def test_the_short_form_has_the_curves_that_targets_ask_for() -> None:
    assert [curve.name for curve in curves(1_000, full=False)] == [EQUAL_COALESCING, CARRIED, FILLED]


def test_equal_coalescing_means_as_many_properties_all_as_busy() -> None:
    curve = next(curve for curve in curves(1_000, full=True) if curve.name == EQUAL_COALESCING)
    workloads = [point.workload for _, point in curve.points]
    assert [each.orgs for each in workloads] == [10_000, 1_000_000]
    assert {each.orgs * each.properties_per_org for each in workloads} == {1_000_000}
    assert {each.zipf_exponent for each in workloads} == {0.0}


def test_the_usual_point_overrides_no_setting() -> None:
    assert Point(mixed(1)).overrides == {}
    assert replace(Point(mixed(1)), rows_max=500).overrides == {
        "BATCH_ROWS_MAX": "500",
        "BATCH_GATHERED_ROWS_MAX": "1500",
    }


@pytest.mark.parametrize(
    ("rates", "bent_at"),
    [
        ([10, 20, 30, 29], None),  # rises, and stays
        ([30, 29, 25, 24], None),  # 80% is left
        ([30, 29, 23, 10], 3.0),
        ([5, 30, 20, 28], 3.0),  # what lies before the best is no bend
    ],
)
def test_a_curve_bends_where_less_than_four_fifths_of_its_best_are_left(
    rates: list[float], bent_at: float | None
) -> None:
    assert bend([1.0, 2.0, 3.0, 4.0], rates) == bent_at


def test_a_carried_row_costs_what_the_database_does_more_for_each() -> None:
    rounds = [[round_of(100, rows_per_event=rows, database_us=18 + 2.5 * rows)] for rows in (0.8, 1.5, 4.2)]
    assert carried_row_us(rounds) == pytest.approx(2.5, rel=0.01)
    assert balance_rows(rounds[0][0]) == pytest.approx(0.8)


def test_without_more_rows_there_is_no_slope() -> None:
    assert slope([(1.0, 5.0), (1.0, 9.0)]) is None


def test_ratios_are_of_the_same_round() -> None:
    assert ratios([8, 9], [10, 10]) == [0.8, 0.9]


@pytest.mark.parametrize("rows", [1_000_000, 20_000_001])
def test_the_filled_rows_are_as_many_as_the_point_says(rows: int) -> None:
    assert sum(planned(rows).values()) == rows


def measured_at(rates: dict[tuple[str, float], float], *, full: bool, database_us: float = 2.5) -> Measured:
    measured = Measured()
    for curve in curves(1_000, full=full):
        for x, point in curve.points:
            rate, rows = rates.get((curve.name, x), 100.0), 1 + x / 10
            of_point = round_of(rate, rows_per_event=rows, database_us=400 + database_us * rows)
            measured.rounds[curve.name, point] = [of_point, of_point]
    return measured


@pytest.mark.parametrize("full", [True, False])
def test_figures_and_tables_of_every_curve(full: bool) -> None:
    found = curves(1_000, full=full)
    filled = next(curve for curve in found if curve.name == FILLED).points[-1][0]
    rates = {(FILLED, filled): 90.0, (EQUAL_COALESCING, 1e6): 85.0, (CARRIED, 2.0): 60.0}
    measured = measured_at(rates, full=full)
    made, unresolved = figures(found, measured, full=full)
    by_name = {each.name: each.median for each in made}
    assert by_name["rate_1m_orgs_to_10k"] == pytest.approx(0.85)
    assert by_name["late_cost_share"] == pytest.approx(0.4)
    assert by_name["rate_20m_to_1m" if full else "rate_500k_to_50k_rows"] == pytest.approx(0.9)
    assert ("rate_20m_to_1m" in by_name) is full  # a small fill must not pass for the target's
    assert by_name["carried_row_us"] == pytest.approx(2.5, rel=0.01)
    assert not unresolved
    assert len(bends_table(found, measured).rows) == len(found)


def test_of_some_curves_there_are_their_figures_alone() -> None:
    found = [curve for curve in curves(1_000, full=True) if curve.name in (FILLED, "lanes")]
    made, _ = figures(found, measured_at({}, full=True), full=True)
    names = {each.name for each in made}
    assert {"rate_20m_to_1m", "lanes_8"} <= names
    assert not {"rate_1m_orgs_to_10k", "late_cost_share", "carried_row_us"} & names


def test_a_cost_below_nothing_is_noise_and_meets_no_target() -> None:
    found = curves(1_000, full=False)
    made, unresolved = figures(found, measured_at({}, full=False, database_us=-5), full=False)
    assert "carried_row_us" not in {each.name for each in made}
    assert unresolved
