"""What is measured: points, each a whole set of circumstances, and curves through them. Plain values."""

from dataclasses import dataclass, replace
from typing import Final

from bench.workload import Workload, mixed

LANES: Final = 8
WORKERS: Final = 2
ROWS_MAX: Final = 5_000
# Days behind and their density: a property that trades nearly every day, and an event as late as the workload has them.
_HISTORY_DAYS: Final = 80
_HISTORY_DENSITY: Final = 0.9


@dataclass(frozen=True, slots=True)
class Point:
    """One set of circumstances. `filled_rows` are rows of others in the same tables, before the first event."""

    workload: Workload
    lanes: int = LANES
    workers: int = WORKERS
    rows_max: int = ROWS_MAX
    filled_rows: int = 0

    @property
    def overrides(self) -> dict[str, str]:
        """Settings of the workers. What gathers while a batch commits keeps its proportion to the batch."""
        if self.rows_max == ROWS_MAX:
            return {}
        return {"BATCH_ROWS_MAX": str(self.rows_max), "BATCH_GATHERED_ROWS_MAX": str(3 * self.rows_max)}


@dataclass(frozen=True, slots=True)
class Curve:
    """Points by what grows."""

    name: str
    x_label: str
    points: tuple[tuple[float, Point], ...]
    logarithmic: bool = True


def curves(events: int, *, full: bool) -> list[Curve]:
    """Every curve, those that targets ask for first; the short form has these alone."""
    usual = Point(_usual(events))
    asked_for = [
        equal_coalescing(usual, properties_loaded=full),
        late_on_dense_days(events, full=full),
        Curve(FILLED, "rows of others, before", _filled(usual, full=full)),
    ]
    return [*asked_for, *_others(events, usual)] if full else asked_for


def _others(events: int, usual: Point) -> list[Curve]:
    return [
        *_carried(events),
        _orgs(usual, (10_000, 30_000, 100_000, 300_000, 1_000_000)),
        Curve("lanes", "lanes", tuple((lanes, replace(usual, lanes=lanes)) for lanes in (1, 2, 4, 8, 16))),
        Curve("workers", "worker processes", _workers(usual, (1, 2, 3, 4)), logarithmic=False),
        Curve("batch bound", "records of a transaction, at most", _rows(usual)),
        Curve("late events", "% of the events 8 to 80 days late", _late(usual), logarithmic=False),
    ]


def _usual(events: int, orgs: int = 100_000) -> Workload:
    """As in `drain`, in a steady state: hotels are known before they trade."""
    return mixed(events, orgs=orgs, properties_loaded=True)


EQUAL_COALESCING: Final = "organisations at equal coalescing"
CARRIED: Final = "late events on dense days"
FILLED: Final = "rows in the tables"


def equal_coalescing(usual: Point, *, properties_loaded: bool) -> Curve:
    """A million properties, all as busy, of 10,000 organisations and of a million: a batch coalesces alike.

    To load so many properties takes half a minute for each point: too long for a look.
    """
    few, many = (
        replace(
            usual.workload,
            name="equal",
            orgs=orgs,
            properties_per_org=1_000_000 // orgs,
            zipf_exponent=0.0,
            properties_loaded=properties_loaded,
        )
        for orgs in (10_000, 1_000_000)
    )
    points = ((10_000.0, replace(usual, workload=few)), (1_000_000.0, replace(usual, workload=many)))
    return Curve(EQUAL_COALESCING, "organisations of a million properties in all", points)


def _orgs(usual: Point, counts: tuple[int, ...]) -> Curve:
    points = tuple((float(orgs), replace(usual, workload=replace(usual.workload, orgs=orgs))) for orgs in counts)
    return Curve("organisations", "organisations (Zipf 0.8: more of them coalesce less)", points)


def _workers(usual: Point, counts: tuple[int, ...]) -> tuple[tuple[float, Point], ...]:
    return tuple((float(count), replace(usual, workers=count)) for count in counts)


def _rows(usual: Point) -> tuple[tuple[float, Point], ...]:
    return tuple((float(bound), replace(usual, rows_max=bound)) for bound in (500, 2_000, ROWS_MAX, 10_000, 20_000))


def _late(usual: Point) -> tuple[tuple[float, Point], ...]:
    shares = (0.0, 0.02, 0.05, 0.1, 0.2)
    return tuple((share * 100, replace(usual, workload=_with_late(usual.workload, share))) for share in shares)


def _with_late(workload: Workload, share: float) -> Workload:
    # The usual share keeps the usual workload, so that the point is the same one.
    return workload if share == workload.late_share else replace(workload, name="late", late_share=share)


def _dense(events: int, orgs: int) -> Workload:
    """Properties whose past days have rows already: each late event is carried through all that come after it."""
    return replace(
        _usual(events, orgs),
        name="carried",
        zipf_exponent=0.0,
        late_days_max=_HISTORY_DAYS,
        history_days=_HISTORY_DAYS,
        history_density=_HISTORY_DENSITY,
    )


def late_on_dense_days(events: int, *, full: bool) -> Curve:
    """From no late event to one in five; the first two points are those that the target compares."""
    dense = _dense(events, 1_000 if full else 100)
    shares = (0.0, 0.02, 0.05, 0.1, 0.2) if full else (0.0, 0.02, 0.2)
    late = tuple((share * 100, Point(replace(dense, late_share=share))) for share in shares)
    return Curve(CARRIED, "% of the events late, on properties with a row on 90% of 80 days", late, logarithmic=False)


def _carried(events: int) -> list[Curve]:
    dense = _dense(events, 1_000)
    days = tuple((float(days), Point(replace(dense, history_days=days, late_days_max=days))) for days in (20, 40, 80))
    density = tuple(
        (share * 100, Point(replace(dense, history_density=share))) for share in (0.1, 0.5, _HISTORY_DENSITY)
    )
    return [
        Curve("days of carry", "days back with rows on 90% of them, 2% late", days, logarithmic=False),
        Curve("density of days", "% of 80 days with a row, 2% late", density, logarithmic=False),
    ]


def _filled(usual: Point, *, full: bool) -> tuple[tuple[float, Point], ...]:
    counts = (1_000_000, 5_000_000, 10_000_000, 20_000_000) if full else (50_000, 500_000)
    return tuple((float(count), replace(usual, filled_rows=count)) for count in counts)


# Every curve of the full form.
CURVES: Final = tuple(curve.name for curve in curves(1, full=True))
