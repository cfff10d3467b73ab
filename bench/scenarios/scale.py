"""scale: the rate while one thing grows: organisations, lanes, workers, batches, lateness, days, tables."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.form import Form
from bench.progress import Progress
from bench.proofs import together
from bench.results import Cell, Figure, ScenarioResult, Series, Table, figure
from bench.scaling.bends import BENT_SHARE, balance_rows, bend, carried_row_us, ratios
from bench.scaling.measuring import Measured, Measurer
from bench.scaling.points import CARRIED, EQUAL_COALESCING, FILLED, Curve, Point, curves
from bench.target import Target

_TITLE: Final = "the rate while one thing grows: where the curve bends"


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """Drains at every point; about an hour in the full form, two points a curve in the short one."""
    began = time.monotonic()
    found = curves(form.events_or(30_000, 200_000), full=form.full)
    rounds = form.rounds_or(1, 3)
    measurer = Measurer(target, progress, rounds, prove_all=form.full)
    for curve in found:
        progress.say(f"scale: {curve.name}, {len(curve.points)} points")
        await measurer.measure(curve)
    measured = measurer.measured
    return ScenarioResult(
        name="scale",
        title=_TITLE,
        figures=figures(found, measured, full=form.full),
        tables=[_points_table(found, measured), bends_table(found, measured)],
        series=[each for curve in found for each in _series(curve, measured)],
        proof=together(measured.proofs),
        notes=_notes(found),
        parameters={"rounds": rounds, "points": len(measured.rounds), "books proved": len(measured.proofs)},
        seconds=time.monotonic() - began,
    )


def figures(found: Sequence[Curve], measured: Measured, *, full: bool) -> list[Figure]:
    """The rate at each point, and what the targets ask for."""
    by_name = {curve.name: curve for curve in found}
    made = [
        figure(f"{curve.name.replace(' ', '_')}_{x:g}", "ev/s", measured.rates(point), "more")
        for curve in found
        for x, point in curve.points
    ]
    few, many = (point for _, point in by_name[EQUAL_COALESCING].points)
    made.append(figure("rate_1m_orgs_to_10k", "of it", ratios(measured.rates(many), measured.rates(few)), "more"))
    late = [point for _, point in by_name[CARRIED].points]
    # The second of the late points is the one of 2%.
    costs = [1 - share for share in ratios(measured.rates(late[1]), measured.rates(late[0]))]
    made.append(figure("late_cost_share", "of the rate", costs, "less"))
    carried = carried_row_us([measured.rounds[point] for point in late])
    if carried is not None:
        made.append(figure("carried_row_us", "µs", [carried], "less"))
    small, *_, large = (point for _, point in by_name[FILLED].points)
    name = "rate_20m_to_1m" if full else "rate_500k_to_50k_rows"
    made.append(figure(name, "of it", ratios(measured.rates(large), measured.rates(small)), "more"))
    return made


def bends_table(found: Sequence[Curve], measured: Measured) -> Table:
    """Where less than 80% of the best is left."""
    rows: list[list[Cell]] = []
    for curve in found:
        x = [at for at, _ in curve.points]
        rates = [median(measured.rates(point)) for _, point in curve.points]
        bent = bend(x, rates)
        rows.append([curve.name, round(max(rates)), round(min(rates)), x[-1], bent if bent is not None else "nowhere"])
    columns = ["curve", "best ev/s", "least ev/s", "measured up to", f"below {BENT_SHARE:.0%} of its best at"]
    return Table("where the curves bend", columns, rows)


def _points_table(found: Sequence[Curve], measured: Measured) -> Table:
    rows: list[list[Cell]] = []
    for curve in found:
        for x, point in curve.points:
            rows.append([curve.name, x, *_cells(measured, point)])
    columns = ["curve", "x", "ev/s", "least", "most", "CPU µs an event", "worker", "database", "batch rows"]
    columns += ["balance rows an event", "MiB of a worker"]
    return Table("every point (medians of the rounds)", columns, rows)


def _cells(measured: Measured, point: Point) -> list[Cell]:
    rounds, rates = measured.rounds[point], measured.rates(point)
    return [
        round(median(rates)),
        round(min(rates)),
        round(max(rates)),
        round(median(each.cpu_us_total for each in rounds), 1),
        round(median(each.cpu_us("workers") for each in rounds), 1),
        round(median(each.cpu_us("database") for each in rounds), 1),
        round(median(each.batches.rows_mean for each in rounds)),
        round(median(balance_rows(each) for each in rounds), 3),
        round(max(each.peaks_mib.get("workers", 0.0) for each in rounds)),
    ]


def _series(curve: Curve, measured: Measured) -> list[Series]:
    x = [at for at, _ in curve.points]
    rates = [measured.rates(point) for _, point in curve.points]
    cpu = [[each.cpu_us_total for each in measured.rounds[point]] for _, point in curve.points]
    return [
        _line(f"rate by {curve.name}", curve, "ev/s", x, rates),
        _line(f"CPU of an event by {curve.name}", curve, "µs an event, all parts", x, cpu),
    ]


def _line(name: str, curve: Curve, unit: str, x: list[float], values: Sequence[Sequence[float]]) -> Series:
    return Series(
        name=name,
        x_label=curve.x_label,
        y_label=unit,
        x=x,
        y=[median(each) for each in values],
        least=[min(each) for each in values],
        most=[max(each) for each in values],
        x_logarithmic=curve.logarithmic,
    )


def _notes(found: Sequence[Curve]) -> list[str]:
    usual = next(curve for curve in found if curve.name == "lanes").points[-1][1].workload
    filled = (
        "Rows in the tables: filled by SQL with rows of the same organisations' other transactions and properties (in "
    )
    filled += (
        "the store, snapshots, revenues and balances, in the proportion in which events write them), deleted again "
    )
    filled += "before the proof. The rounds' own events do not touch them."
    carried = (
        "A carried row: the slope of the database's CPU over balance rows written, both an event, over the late shares."
    )
    turns = "The points of a curve are drained in turn, round by round; one that lies on several is measured once."
    return [
        f"As usual: {usual.events:,} events, {usual.distribution}; {usual.mixture}",
        turns,
        filled,
        carried,
    ]
