"""drain: a pre-loaded topic of mixed events through the whole pipeline, until the last update is published."""

import os
import time
from collections.abc import Iterator

from bench.accounting import OTHER
from bench.draining import Round, drain_round, ready
from bench.form import Form
from bench.progress import Progress
from bench.proving import prove
from bench.results import Cell, Figure, ScenarioResult, Series, Table, WorkloadStatement, figure
from bench.target import Stream, Target
from bench.workload import Workload, mixed

_TITLE = "a pre-loaded topic of mixed events, drained by the whole pipeline"
_OTHERS_CORES_MAX = 0.2
_NOTES = [
    "The clock runs from the first worker's claim, after which it fetches, to the broker's time of the last update.",
    "CPU is that of the same span. `other` is what the machine did beside the parts: on a shared one, others' work.",
    "`at full cores` is cores / CPU of an event, as if no core ever waited: not measured; no target is judged by it.",
]


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """The median of several rounds; the books of the last one are proved."""
    events = form.events_or(50_000, 1_000_000)
    workload = mixed(events, orgs=form.orgs or 100_000, properties_loaded=form.properties_loaded)
    return await drained("drain", _TITLE, workload, target, form, progress)


async def drained(
    name: str, title: str, workload: Workload, target: Target, form: Form, progress: Progress
) -> ScenarioResult:
    """Drain a workload in several rounds."""
    began = time.monotonic()
    stream, template = await ready(target, workload, form.workers)
    rounds: list[Round] = []
    count = form.rounds_or(3, 3)
    for number in range(1, count + 1):
        done, ground = await drain_round(target, stream, form.workers, template)
        rounds.append(done)
        progress.say(
            f"{name}, round {number} of {count}: {done.events_per_second:,.0f} ev/s in {done.seconds:.1f} s, "
            f"{done.cpu_us('workers'):.1f} µs of worker CPU an event; "
            f"others took {done.cpu.get('other', 0) / done.seconds:.1f} cores"
        )
    progress.say(f"{name}: proving the books of the last round")
    proof = await prove(ground)
    progress.say(f"{name}: {proof.summary}")
    return ScenarioResult(
        name=name,
        title=title,
        workload=stated(stream),
        figures=figures(rounds),
        tables=[_rows_table(rounds[-1])],
        series=[_course(rounds[-1])],
        proof=proof,
        notes=[*_NOTES, *disturbed(rounds)],
        parameters=_parameters(stream, form, count),
        seconds=time.monotonic() - began,
    )


def stated(stream: Stream) -> WorkloadStatement:
    """What was sent."""
    workload, loaded = stream.workload, stream.loaded
    return WorkloadStatement(
        workload, workload.distribution, workload.mixture, loaded.census, loaded.generator_cpu_seconds
    )


def figures(rounds: list[Round]) -> list[Figure]:
    """Every number that a drain gives."""
    parts = sorted({part for each in rounds for part in each.cpu})
    found = [
        figure("events_per_second", "ev/s", [each.events_per_second for each in rounds], "more"),
        figure("events_per_second_from_start", "ev/s", [each.events_per_second_from_start for each in rounds], "more"),
        figure(
            "events_per_second_from_first_commit",
            "ev/s",
            [each.events_per_second_from_first_commit for each in rounds],
            "more",
        ),
        figure("seconds", "s", [each.seconds for each in rounds], "less"),
        figure("startup_seconds", "s", [each.claimed - each.started for each in rounds], "less"),
        figure("startup_cpu_seconds", "s", [each.startup_cpu.get("workers", 0.0) for each in rounds], "less"),
        *(figure(f"cpu_us_{part}", "µs/event", [each.cpu_us(part) for each in rounds], "less") for part in parts),
        figure(
            "cpu_us_total",
            "µs/event",
            [each.cpu_us_total for each in rounds],
            "less",
        ),
        figure("events_per_second_at_full_cores", "ev/s", [_at_full_cores(each) for each in rounds], "more"),
        figure("other_cores", "cores", [each.cpu.get("other", 0.0) / each.seconds for each in rounds], "less"),
        figure("stolen_cores", "cores", [each.stolen_seconds / each.seconds for each in rounds], "less"),
    ]
    found += [
        figure(f"peak_mib_{part}", "MiB", [each.peaks_mib.get(part, 0.0) for each in rounds], "less")
        for part in sorted(rounds[-1].peaks_mib)
    ]
    found += [
        figure("rows_written_per_event", "rows/event", [_rows(each) / each.events for each in rounds], "less"),
        figure("wal_bytes_per_event", "B/event", [each.wal.bytes / each.events for each in rounds], "less"),
        figure("wal_page_images", "pages", [each.wal.page_images for each in rounds], "less"),
        figure("checkpoints", "checkpoints", [each.wal.checkpoints for each in rounds], "neither"),
        figure("failed_attempts", "attempts", [each.batches.failed_attempts for each in rounds], "less"),
        figure("rejoins", "times", [each.batches.rejoins for each in rounds], "less"),
        figure("batches", "batches", [each.batches.batches for each in rounds], "neither"),
        figure("batch_rows_mean", "rows", [each.batches.rows_mean for each in rounds], "neither"),
        figure(
            "commit_ms_mean",
            "ms",
            [each.batches.commit_seconds * 1000 / max(each.batches.batches, 1) for each in rounds],
            "less",
        ),
    ]
    return found


def _at_full_cores(round_: Round) -> float:
    """What the CPU of an event would allow if nobody else used the machine, and no core ever waited."""
    return len(os.sched_getaffinity(0)) * 1e6 / max(round_.cpu_us_total, 1e-9)


def _rows(round_: Round) -> int:
    return sum(table.rows for table in round_.written)


def _rows_table(round_: Round) -> Table:
    rows: list[list[Cell]] = [
        [
            table.name,
            table.inserted / round_.events,
            table.updated / round_.events,
            table.updated_hot / table.updated if table.updated else None,
            table.deleted / round_.events,
        ]
        for table in round_.written
    ]
    columns = ["table", "inserted an event", "updated an event", "of these HOT", "deleted an event"]
    return Table("rows written, last round", columns, rows)


def _course(round_: Round) -> Series:
    """Events a second while the topic is drained."""
    x, y = [], []
    last_at, last = 0.0, 0
    for at, consumed in round_.course:
        if at - last_at >= 1:
            x.append(at)
            y.append((consumed - last) / (at - last_at))
            last_at, last = at, consumed
    return Series("course of the last round", "seconds", "events/s", x, y)


def disturbed(rounds: list[Round]) -> Iterator[str]:
    """What keeps the figures from being those of the machine."""
    others = max(each.cpu.get(OTHER, 0.0) / each.seconds for each in rounds)
    if others > _OTHERS_CORES_MAX:
        yield f"Disturbed: others took up to {others:.1f} cores. On a machine of its own the rates are higher."
    failed = max(each.batches.failed_attempts + each.batches.rejoins for each in rounds)
    if failed:
        yield f"Disturbed: up to {failed} failed attempts and rejoins of workers in a round."


def _parameters(stream: Stream, form: Form, rounds: int) -> dict[str, Cell]:
    return {"workers": form.workers, "lanes": stream.lanes, "rounds": rounds, "events": stream.loaded.events}
