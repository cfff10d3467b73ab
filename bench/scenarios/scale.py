"""scale: the rate while one thing grows: organisations, lanes, workers, batches, lateness, days, tables."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.draining import Round
from bench.form import Form
from bench.progress import Progress
from bench.proofs import together
from bench.results import Cell, Figure, ScenarioResult, Series, Table, figure
from bench.scaling.bends import BENT_SHARE, balance_rows, bend, carried_row_us, ratios
from bench.scaling.measuring import Care, Measured, Measurer
from bench.scaling.points import CARRIED, CURVES, EQUAL_COALESCING, FILLED, Curve, curves
from bench.target import Target
from pipeline.errors import SettingsRefused

# Past this, each further point gets one round.
_FULL_SECONDS_MAX: Final = 2_700.0
_TITLE: Final = "the rate while one thing grows: where the curve bends"


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """Drains at every point; well over an hour in the full form, in the short one the curves that targets ask for."""
    began = time.monotonic()
    found = curves(form.events_or(20_000, 200_000), full=form.full)
    found = [curve for curve in found if curve.name in (form.curves or CURVES)]
    if not found:
        raise SettingsRefused("--curves names only curves that the short form leaves out: add --full")
    care = Care(form.rounds_or(1, 3), _FULL_SECONDS_MAX)
    measurer = Measurer(target, progress, care)
    await measurer.warm_up(found[0].points[0][1])
    for curve in found:
        progress.say(f"scale: {curve.name}, {len(curve.points)} points")
        await measurer.measure(curve)
    measured = measurer.measured
    made, unresolved = figures(found, measured, full=form.full)
    return ScenarioResult(
        name="scale",
        title=_TITLE,
        figures=made,
        tables=[_points_table(found, measured), bends_table(found, measured)],
        series=[each for curve in found for each in _series(curve, measured)],
        proof=together(measured.proofs),
        notes=[*_notes(found), *unresolved],
        parameters={"rounds": care.rounds, "points": len(measured.rounds), "books proved": len(measured.proofs)},
        seconds=time.monotonic() - began,
    )


def figures(found: Sequence[Curve], measured: Measured, *, full: bool) -> tuple[list[Figure], list[str]]:
    """The rate at each point and what the targets ask for; and, in words, what drowned in noise."""
    by_name = {curve.name: curve for curve in found}
    made = [
        figure(f"{curve.name.replace(' ', '_')}_{x:.10g}", "ev/s", rates, "more")
        for curve in found
        for (x, _), rates in zip(curve.points, measured.rates(curve), strict=True)
    ]
    if EQUAL_COALESCING in by_name:
        few, many = measured.rates(by_name[EQUAL_COALESCING])
        made.append(figure("rate_1m_orgs_to_10k", "of it", ratios(many, few), "more"))
    if FILLED in by_name:
        small, *_, large = measured.rates(by_name[FILLED])
        name = "rate_20m_to_1m" if full else "rate_500k_to_50k_rows"
        made.append(figure(name, "of it", ratios(large, small), "more"))
    if CARRIED not in by_name:
        return made, []
    # The first two of the late points are 0 and 2%.
    in_time, late, *_ = measured.rates(by_name[CARRIED])
    made.append(figure("late_cost_share", "of the rate", [1 - share for share in ratios(late, in_time)], "less"))
    carried = carried_row_us(measured.of(by_name[CARRIED]))
    if carried is None or carried <= 0:
        return made, ["carried_row_us: not resolved, the noise of these rounds is larger than what carrying costs"]
    return [*made, figure("carried_row_us", "µs", [carried], "less")], []


def bends_table(found: Sequence[Curve], measured: Measured) -> Table:
    """Where less than 80% of the best is left."""
    rows: list[list[Cell]] = []
    for curve in found:
        x = [at for at, _ in curve.points]
        rates = [median(of_point) for of_point in measured.rates(curve)]
        bent = bend(x, rates)
        rows.append([curve.name, round(max(rates)), round(min(rates)), x[-1], bent if bent is not None else "nowhere"])
    columns = ["curve", "best ev/s", "least ev/s", "measured up to", f"below {BENT_SHARE:.0%} of its best at"]
    return Table("where the curves bend", columns, rows)


def _points_table(found: Sequence[Curve], measured: Measured) -> Table:
    rows: list[list[Cell]] = [
        [curve.name, x, *_cells(rounds)]
        for curve in found
        for (x, _), rounds in zip(curve.points, measured.of(curve), strict=True)
    ]
    columns = ["curve", "x", "ev/s", "least", "most", "CPU µs an event", "worker", "database", "batch rows"]
    columns += ["balance rows an event", "MiB of a worker"]
    return Table("every point (medians of the rounds)", columns, rows)


def _cells(rounds: Sequence[Round]) -> list[Cell]:
    rates = [each.events_per_second for each in rounds]
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
    cpu = [[each.cpu_us_total for each in rounds] for rounds in measured.of(curve)]
    return [
        _line(f"rate by {curve.name}", curve, "ev/s", x, measured.rates(curve)),
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
    usual = found[0].points[0][1].workload
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
    return [
        f"First curve: {usual.events:,} events, {usual.distribution}; {usual.mixture}",
        "The points of a curve are drained in turn, round by round.",
        filled,
        carried,
    ]
