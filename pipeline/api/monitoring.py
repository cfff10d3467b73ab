"""Partitions, triggers and row counts as operators see them, and the run of maintenance that a scheduler asks for.

Nothing here is guessed: sizes and bounds are the catalogs', rows are counted where it says so, and what must be done is
what `folio partitions` would do.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Final

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_409_CONFLICT
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.api.access import operators_only, principal_of
from pipeline.api.oversight import Count, Look, Oversight
from pipeline.api.problems import MEDIA_TYPE, Problem, documented
from pipeline.api.tokens import Principal
from pipeline.maintenance.parity import LegacyTable, Parity, parities
from pipeline.maintenance.partitions.gauges import gauges
from pipeline.maintenance.partitions.planning import Purpose, Step
from pipeline.maintenance.partitions.standing import Standing, retention_problem, standings
from pipeline.maintenance.partitions.state import HASHED, Partition
from pipeline.maintenance.partitions.verifying import (
    hashing_problems,
    misplaced,
    missing_months,
    verification_problems,
)
from pipeline.maintenance.triggers import TriggerStatus, trigger_gauges
from pipeline.storage.audit import operator

_REFUSALS: Final = documented(401, 403, 501, 503)
_IN_THE_WAY: Final = {
    HTTP_409_CONFLICT: ResponseSpec(
        Problem, generate_examples=False, description="Another run is at work, or it is off", media_type=MEDIA_TYPE
    )
}
# Of a token's `sub`, which says who had months taken away: longer ones are cut, for the audit is read by people.
_SUBJECT_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class PartitionFigures:
    """A partition. `rows_exact` is null where rows are not counted; `rows_estimated` is what the planner believes."""

    table: str
    name: str
    bytes: int
    rows_estimated: int
    rows_exact: int | None
    lower: datetime | None
    upper: datetime | None
    modulus: int | None
    remainder: int | None


@dataclass(frozen=True, slots=True)
class MonthsFigures:
    """A table of months. `missing_months`: those that there should be; `months_ahead` is -1 without the present one."""

    table: str
    months_ahead: int
    runway_days: float
    missing_months: list[str]
    default_rows: int
    cleanup_lag_months: int
    waiting_months: int


@dataclass(frozen=True, slots=True)
class HashFigures:
    """A table that is spread by organisation."""

    table: str
    partitions: int


@dataclass(frozen=True, slots=True)
class TriggerFigures:
    """A trigger that is there, or that the migrations make; `healthy`: there, calling what it must, and switched on."""

    table: str
    name: str
    function: str
    expected: bool
    present: bool
    enabled: bool
    healthy: bool


@dataclass(frozen=True, slots=True)
class PartitionMetrics:
    """How the partitioned tables stand, and what must be done, in words."""

    healthy: bool
    problems: list[str]
    at: datetime
    months: list[MonthsFigures]
    hashed: list[HashFigures]
    partitions: list[PartitionFigures]
    triggers: list[TriggerFigures]


@dataclass(frozen=True, slots=True)
class CountedPartition:
    """A partition, and its rows, counted; `well`: each of them is where it must be."""

    table: str
    name: str
    rows: int
    well: bool


@dataclass(frozen=True, slots=True)
class RowParity:
    """Transactions since retention's edge: rows of their table, and the snapshots that each must have one of."""

    kind: str
    table: str
    rows: int
    snapshots: int
    equal: bool


@dataclass(frozen=True, slots=True)
class Legacy:
    """Tables of the platform before: `absent`, or `present` with the rows that the planner believes in."""

    status: str
    tables: list[LegacyTable]


@dataclass(frozen=True, slots=True)
class Verification:
    """Every row of the partitioned tables, counted in one snapshot."""

    healthy: bool
    problems: list[str]
    at: datetime
    partitions: list[CountedPartition]
    kept_since: datetime | None
    parity: list[RowParity]
    legacy: Legacy
    triggers: list[TriggerFigures]


@dataclass(frozen=True, slots=True)
class MaintenanceStep:
    """One step; the rows that it moved or dropped, and its seconds, are null where it was not carried out."""

    step: str
    words: str
    table: str
    month: date
    rows: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class MaintenanceRun:
    """What was done, or, where `planned`, what would be."""

    planned: bool
    steps: list[MaintenanceStep]


class Monitoring(Controller):
    """For operators alone. Each answer opens a connection of its own to the primary, and closes it."""

    path = "/"
    guards = (operators_only,)
    tags = ("Monitoring",)

    @get("/monitoring/partitions/metrics", responses=_REFUSALS, summary="How the partitions stand")
    async def partitions(self, oversight: NamedDependency[Oversight]) -> PartitionMetrics:
        """Cheap: catalogs, and default partitions, which are empty. Problems are those of `folio partitions status`."""
        return _metrics(await oversight.look(), oversight)

    @get(
        "/monitoring/partitions/metrics/prometheus",
        responses={HTTP_200_OK: ResponseSpec(str, description="Text format", media_type="text/plain"), **_REFUSALS},
        summary="The same for Prometheus, with the triggers",
    )
    async def partitions_prometheus(self, oversight: NamedDependency[Oversight]) -> Response[bytes]:
        """They belong to the database and not to this process: its own metrics have none of them."""
        look = await oversight.look()
        registry = gauges(look.state, standings(look.state, look.at, oversight.asked.keeping))
        trigger_gauges(registry, look.triggers)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @get(
        ["/monitoring/verify-partitions", "/v1/system/monitoring/partitions/verify"],
        responses=_REFUSALS,
        summary="Every row counted, and held against the bounds of its partition",
    )
    async def verify(self, oversight: NamedDependency[Oversight]) -> Verification:
        """Reads all of these tables from end to end: not for a probe. Who asks meanwhile waits for the same answer."""
        return _verification(await oversight.count(), oversight)

    @post(
        "/cron/partition-maintenance",
        status_code=HTTP_200_OK,
        responses=_REFUSALS | _IN_THE_WAY | documented(400),
        summary="Make the months that are missing, and take away those past retention",
    )
    async def maintain(
        self,
        request: Request[Principal, str, State],
        oversight: NamedDependency[Oversight],
        plan: Annotated[bool, QueryParameter(description="Only say what would be done.")] = False,
        only: Annotated[
            Purpose | None, QueryParameter(description="create: missing months; expire: those past retention.")
        ] = None,
    ) -> MaintenanceRun:
        """As `folio partitions apply`: one run at a time, safe to repeat and to be cut off."""
        if plan:
            return MaintenanceRun(True, [_step(step, None, None) for step in await oversight.planned(only)])
        who = f"{principal_of(request).subject[:_SUBJECT_SHOWN]} (token) through {operator()}"
        done = await oversight.maintain(only, who)
        return MaintenanceRun(False, [_step(each.step, each.rows, each.seconds) for each in done])


def _metrics(look: Look, oversight: Oversight) -> PartitionMetrics:
    keeping = oversight.asked.keeping
    found = standings(look.state, look.at, keeping)
    problems = [problem for each in found for problem in each.problems]
    problems += hashing_problems(look.state)
    problems += [problem for problem in (retention_problem(look.state, keeping),) if problem is not None]
    problems += _of_triggers(look)
    missing = [(step.table, f"{step.month:%Y-%m}") for step in missing_months(look.state, look.at, keeping)]
    return PartitionMetrics(
        not problems,
        problems,
        look.at,
        [_months(each, [month for table, month in missing if table == each.table]) for each in found],
        [HashFigures(table, len(look.state.of(table))) for table in HASHED],
        [_figures(each, look) for each in look.state.partitions],
        [_trigger(each) for each in look.triggers],
    )


def _months(standing: Standing, missing: list[str]) -> MonthsFigures:
    return MonthsFigures(
        standing.table,
        standing.months_ahead,
        round(standing.runway_days, 3),
        missing,
        standing.default_rows,
        standing.cleanup_lag_months,
        standing.waiting_months,
    )


def _figures(partition: Partition, look: Look) -> PartitionFigures:
    exact = None
    if partition.modulus is None and partition.lower is None:  # the default one was counted for the problems
        exact = sum(each.rows for each in look.state.default_months if each.table == partition.table)
    return PartitionFigures(
        partition.table,
        partition.name,
        partition.bytes,
        partition.rows,
        exact,
        partition.lower,
        partition.upper,
        partition.modulus,
        partition.remainder,
    )


def _verification(count: Count, oversight: Oversight) -> Verification:
    look, counts = count.look, count.counts
    compared = parities(counts)
    problems = list(verification_problems(look.state, counts, look.at, oversight.asked.keeping))
    problems += [problem for each in compared if (problem := each.problem) is not None]
    problems += _of_triggers(look)
    partitions = [
        CountedPartition(each.table, each.name, counts.of(each).rows, misplaced(each, counts.of(each)) is None)
        for each in look.state.partitions
    ]
    return Verification(
        not problems,
        problems,
        look.at,
        partitions,
        counts.kept_since,
        [_parity(each) for each in compared],
        Legacy("present" if count.legacy else "absent", count.legacy),
        [_trigger(each) for each in look.triggers],
    )


def _parity(parity: Parity) -> RowParity:
    return RowParity(parity.kind, parity.table, parity.rows, parity.snapshots, parity.problem is None)


def _of_triggers(look: Look) -> list[str]:
    return [problem for each in look.triggers if (problem := each.problem) is not None]


def _trigger(trigger: TriggerStatus) -> TriggerFigures:
    return TriggerFigures(
        trigger.table,
        trigger.name,
        trigger.function,
        trigger.expected,
        trigger.present,
        trigger.enabled,
        trigger.problem is None,
    )


def _step(step: Step, rows: int | None, seconds: float | None) -> MaintenanceStep:
    return MaintenanceStep(type(step).__name__, step.words, step.table, step.month, rows, seconds)
