"""phase1, phase2, phase3: the load tests of the requirements, with a process of the serving layer that is read from."""

import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.draining import ready
from bench.form import Form
from bench.live.generator import Made
from bench.live.rigging import rigged
from bench.live.spreading import Outcomes, Spread, balances_spread, lane_outcomes
from bench.live.stepping import Step
from bench.live.telling import accounts_table, cpu_table, held, latency_table, notes, stated, told
from bench.progress import Progress
from bench.proving import prove
from bench.results import Cell, Figure, Proof, ScenarioResult, Table, figure
from bench.serve.issuing import Issuer
from bench.serve.phasing import (
    BREAKER,
    WARM_SECONDS,
    Answered,
    Broken,
    answered,
    answered_figures,
    answered_table,
    broken,
    broken_figures,
)
from bench.serve.phasing import notes as serving_notes
from bench.serve.replicas import replica
from bench.serve.server import precedence, served
from bench.target import Ground, Target
from bench.workload import Workload, mixed

_ERRORS: Final = "Errors: records that were neither applied nor sent twice on purpose; all were sent valid."
_STEP_SECONDS_MAX: Final = 30.0  # what is sent is made before: a minute of 5,000 events/s would take the generator 1 GB
_WARM_RATE: Final = 1_000
_WARM_SECONDS_SHORT: Final = 4.0
_WARM_SECONDS_FULL: Final = 20.0


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the three: so many organisations, so many events a second."""

    name: str
    orgs: int
    rate: int
    seconds_short: float
    seconds_full: float
    replicas: bool = False  # a replica follows, and reads may go there
    breaks: bool = False  # the database is killed in the end, and comes back


PHASES: Final = (
    Phase("phase1", 50_000, 500, 16.0, 180.0),
    Phase("phase2", 500_000, 2_500, 16.0, 180.0, replicas=True),
    Phase("phase3", 1_000_000, 5_000, 16.0, 180.0, breaks=True),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a phase found."""

    steps: Sequence[Step]
    made: Made
    partitions: Spread
    outcomes: Outcomes
    answered: Sequence[Answered]  # a step each
    broken: Broken | None


async def phase1(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """50,000 organisations, 500 events a second."""
    return await _run(PHASES[0], target, form, progress)


async def phase2(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """500,000 organisations, 2,500 events a second."""
    return await _run(PHASES[1], target, form, progress)


async def phase3(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """1,000,000 organisations, 5,000 events a second."""
    return await _run(PHASES[2], target, form, progress)


async def _run(phase: Phase, target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """For as long as its events last: `--events` sets the time."""
    began = time.monotonic()
    seconds = form.events / phase.rate if form.events else phase.seconds_full if form.full else phase.seconds_short
    warm_seconds = _WARM_SECONDS_FULL if form.full else _WARM_SECONDS_SHORT
    steps = step_seconds(seconds)
    warm_events = round(_WARM_RATE * warm_seconds)
    events = warm_events + sum(round(phase.rate * each) for each in steps)
    # In the full form as in a steady state: hotels are known before they trade. Four million take a minute to load.
    loaded = form.full or form.properties_loaded
    workload = mixed(events, orgs=form.orgs or phase.orgs, properties_loaded=loaded)
    # Loaded with nothing: the load comes live.
    stream, template = await ready(target, replace(workload, events=0), form.workers)
    ground = await target.reset(stream, template)
    found = await _load(target, ground, workload, phase, steps, warm_seconds, form.workers, progress)
    progress.say(f"{phase.name}: proving the books")
    proof = await prove(ground)
    await target.forget(stream)
    return _result(phase, workload, found, proof, form.workers, time.monotonic() - began)


def step_seconds(seconds: float) -> list[float]:
    """The time in steps of a bounded length, all alike."""
    count = max(-(-seconds // _STEP_SECONDS_MAX), 1)
    return [seconds / count] * int(count)


async def _load(
    target: Target,
    ground: Ground,
    workload: Workload,
    phase: Phase,
    steps: Sequence[float],
    warm_seconds: float,
    workers: int,
    progress: Progress,
) -> Found:
    done: list[Step] = []
    answers: list[Answered] = []
    breaking: Broken | None = None
    async with (
        rigged(target, ground, workload, workers) as rig,
        _replicas(target, ground, phase) as replicas,
    ):
        await rig.step(_WARM_RATE, warm_seconds)
        with tempfile.TemporaryDirectory(prefix="folio-bench-phase-") as folder:
            async with served(ground, Issuer(), Path(folder), **replicas, **BREAKER) as server:
                for seconds in steps:
                    step, found = await answered(
                        rig, server, workload, phase.rate, seconds, 0 if done else min(WARM_SECONDS, 4 * seconds)
                    )
                    done.append(step)
                    answers.append(found)
                    progress.say(told(step))
                partitions, outcomes = await balances_spread(rig.connection), await lane_outcomes(rig.connection)
                made = rig.generator.made()
                if phase.breaks and target.directory is not None:
                    progress.say(f"{phase.name}: the database is killed, and comes back")
                    breaking = await broken(server, workload, target.directory)
        return Found(done, made, partitions, outcomes, answers, breaking)


@asynccontextmanager
async def _replicas(target: Target, ground: Ground, phase: Phase) -> AsyncIterator[dict[str, str]]:
    """The settings of a server that may read from a replica; none where there is none."""
    if not phase.replicas or target.directory is None:
        yield {}
        return
    async with replica(target.directory, ground) as (_, urls):
        yield {"REPLICA_URLS": urls}


def _result(
    phase: Phase, workload: Workload, found: Found, proof: Proof, workers: int, seconds: float
) -> ScenarioResult:
    labels = {f"{phase.rate:,}/s": found.steps}
    return ScenarioResult(
        name=phase.name,
        title=f"{phase.orgs:,} organisations, {phase.rate:,} events/s, read from beside",
        workload=stated(workload, found.made),
        figures=_figures(found),
        tables=[
            latency_table(labels),
            cpu_table(labels),
            accounts_table(labels),
            answered_table(found.answered),
            _spread_table("rows of daily_cash_balances by hash partition", found.partitions),
            _spread_table("events by lane", found.outcomes.consumed),
        ],
        proof=proof,
        notes=[*notes(), precedence(), *serving_notes(), _ERRORS],
        parameters={"workers": workers, "steps": len(found.steps)},
        seconds=seconds,
    )


def _figures(found: Found) -> list[Figure]:
    steps = found.steps
    return [
        figure("update_p50_ms", "ms", [step.latencies.update.percentile_ms(50) for step in steps], "less"),
        figure("update_p95_ms", "ms", [step.latencies.update.percentile_ms(95) for step in steps], "less"),
        figure("update_p99_ms", "ms", [step.latencies.update.percentile_ms(99) for step in steps], "less"),
        figure("error_share", "of records", [found.outcomes.errors(found.made.census.messages)], "less"),
        figure("partition_unevenness", "x the mean", [found.partitions.unevenness], "less"),
        figure("lane_unevenness", "x the mean", [found.outcomes.consumed.unevenness], "less"),
        figure("rate_held", "of the steps", [sum(held(step) for step in steps) / len(steps)], "more"),
        figure("worker_cores", "cores", [step.cpu.get("workers", 0.0) for step in steps], "less"),
        *answered_figures(found.answered),
        *([] if found.broken is None else broken_figures(found.broken)),
        figure("peak_mib_workers", "MiB", [step.peaks_mib.get("workers", 0.0) for step in steps], "less"),
    ]


def _spread_table(title: str, spread: Spread) -> Table:
    rows: list[list[Cell]] = [[name, count] for name, count in spread.parts.items()]
    return Table(title, ["part", "count"], rows)
