"""storage: large books that are read, given new months, checked and rebuilt while events go on coming in."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.commands import Ran, folio
from bench.form import Form
from bench.live.rigging import rigged
from bench.live.stepping import Rig, Step
from bench.live.telling import accounts_table, cpu_table, latency_table, notes, stated
from bench.progress import Progress
from bench.proving import prove
from bench.results import Cell, Figure, Proof, ScenarioResult, Table, figure
from bench.storage.beside import Beside, beside
from bench.storage.chaining import chain_share
from bench.storage.filling import Filled, described, filled
from bench.storage.reading import Answered, Order, Reader, What
from bench.target import Ground, Target

_TITLE: Final = "large books read, given new months, checked and rebuilt, beside live writes"
WRITES_PER_SECOND: Final = 5_000
READS_PER_SECOND: Final = 100
_READS: Final[tuple[What, ...]] = ("balance", "report")
_READING_SECONDS_SHORT: Final = 5.0
_READING_SECONDS_FULL: Final = 60.0
_WARM_SECONDS: Final = 5.0
# The template has three months ahead: so three more are made of each table.
_MONTHS_AHEAD: Final = 6
_BEFORE_MONTHS_SECONDS: Final = 3.0
# As long as all of it lasts; made as they are sent.
_EVENTS_MAX: Final = 20_000_000
# The oracle folds every event in memory; beyond so many, `folio check` alone says whether the books are right.
_PROVED_MAX: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured, each beside the same writes."""

    reads: dict[What, Beside[Answered]]
    months: Beside[Ran]
    check: Beside[Ran]
    rebuild: Beside[Ran]
    chain: Beside[Ran]

    @property
    def steps(self) -> dict[str, Sequence[Step]]:
        named = {f"beside {what}s": each.steps for what, each in self.reads.items()}
        others = {"months": self.months, "check": self.check, "rebuild": self.rebuild, "chain": self.chain}
        return named | {f"beside {name}": each.steps for name, each in others.items()}


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """One round: filling the books takes longer than all that is measured on them."""
    began = time.monotonic()
    books = await filled(target, described(form), form.workers, progress)
    progress.say("storage: what the chain costs")
    share = await chain_share(target, form)
    ground = await target.reset(books.stream, books.template)
    workload = books.later(_EVENTS_MAX)
    seconds = _READING_SECONDS_FULL if form.full else _READING_SECONDS_SHORT
    async with rigged(target, ground, workload, form.workers) as rig:
        await rig.step(WRITES_PER_SECOND, _WARM_SECONDS)
        found = await _measured(rig, ground, books, seconds, progress)
        made = rig.generator.made()
    proof = await _proved(ground, books, progress)
    return ScenarioResult(
        name="storage",
        title=_TITLE,
        workload=stated(workload, made),
        figures=[*figures(found), figure("chain_share", "of the CPU", [share], "less")],
        tables=[reads_table(found), latency_table(found.steps), cpu_table(found.steps), accounts_table(found.steps)],
        proof=proof,
        notes=[*notes(), *_notes(books)],
        parameters={"workers": form.workers, "transactions": books.transactions, "writes/s": WRITES_PER_SECOND},
        seconds=time.monotonic() - began,
    )


async def _measured(rig: Rig, ground: Ground, books: Filled, seconds: float, progress: Progress) -> Found:
    reads: dict[What, Beside[Answered]] = {}
    with Reader(ground, books.workload) as reader:
        for what in _READS:
            progress.say(f"storage: {READS_PER_SECOND} {what}s a second beside {WRITES_PER_SECOND:,} events")
            await reader.read(Order(what, READS_PER_SECOND, 1.0))  # connections, plans
            reads[what] = await beside(rig, WRITES_PER_SECOND, reader.read(Order(what, READS_PER_SECOND, seconds)))
    progress.say("storage: three months of each table")
    months = await beside(rig, WRITES_PER_SECOND, _months(ground))
    progress.say("storage: folio check --full")
    check = await beside(rig, WRITES_PER_SECOND, folio(ground, "check", "--full"))
    progress.say("storage: folio rebuild")
    parts = ("snapshots", "transactions", "balances")
    rebuild = await beside(rig, WRITES_PER_SECOND, folio(ground, "rebuild", *parts))
    progress.say("storage: folio verify-chain")
    chain = await beside(rig, WRITES_PER_SECOND, folio(ground, "verify-chain"))
    return Found(reads, months, check, rebuild, chain)


async def _months(ground: Ground) -> Ran:
    await asyncio.sleep(_BEFORE_MONTHS_SECONDS)  # in the middle of the load
    return await folio(ground, "partitions", "apply", PARTITIONS_MONTHS_AHEAD=str(_MONTHS_AHEAD))


async def _proved(ground: Ground, books: Filled, progress: Progress) -> Proof | None:
    if books.transactions > _PROVED_MAX:
        return None
    progress.say("storage: proving the books")
    return await prove(ground)


def figures(found: Found) -> list[Figure]:
    """What the targets ask for, and the latency of the writes beside each."""
    made = []
    for what, each in found.reads.items():
        histogram = each.found.histogram()
        for name, percent in (("p50", 50.0), ("p95", 95.0), ("p99", 99.0)):
            made.append(figure(f"{what}_{name}_ms", "ms", [histogram.percentile_ms(percent)], "less"))
    made.append(figure("months_seconds", "s", [_months_seconds(found.months.found)], "less"))
    # The longest that an event waited for its commit while months were made: a writer that stood still shows in it.
    made.append(figure("months_commit_ms_max", "ms", [commit_ms_max(found.months.steps)], "less"))
    made.append(figure("check_transactions_per_second", "transactions/s", [_check_rate(found.check.found)], "more"))
    made.append(figure("check_drifts", "drifts", [sum(found.check.found.document["drifts"].values())], "less"))
    made.append(figure("rebuild_events_per_second", "events/s", [_rebuild_rate(found.rebuild.found)], "more"))
    made.append(figure("rebuild_rows_changed", "rows", [_rebuilt(found.rebuild.found)], "less"))
    made.append(figure("chain_events_per_second", "events/s", [_chain_rate(found.chain.found)], "more"))
    return made


def commit_ms_max(steps: Sequence[Step]) -> float:
    """The longest from when an event was due to when it was committed, in any of the steps."""
    return max(step.latencies.commit.max_ms for step in steps)


def reads_table(found: Found) -> Table:
    """Latencies from the instant when a read was due."""
    rows: list[list[Cell]] = []
    for what, each in found.reads.items():
        histogram = each.found.histogram()
        values = [round(histogram.percentile_ms(percent), 2) for percent in (50.0, 95.0, 99.0)]
        rows.append([what, histogram.count, each.found.absent, *values, round(histogram.max_ms, 2)])
    columns = ["read", "reads", "absent", "p50 ms", "p95 ms", "p99 ms", "max ms"]
    return Table(f"{READS_PER_SECOND} reads a second beside {WRITES_PER_SECOND:,} events", columns, rows, in_text=True)


def _months_seconds(ran: Ran) -> float:
    """Of the steps alone: not of the interpreter that carries them out."""
    return float(sum(step["seconds"] for step in ran.document["done"]))


def _check_rate(ran: Ran) -> float:
    return float(ran.document["transactions"] / ran.document["seconds"])


def _rebuild_rate(ran: Ran) -> float:
    """Stored events a second: snapshots and transactions come from one look at them; over the time of all parts."""
    phases = ran.document["phases"]
    return float(phases["transactions"]["looked_at"] / sum(phase["seconds"] for phase in phases.values()))


def _rebuilt(ran: Ran) -> int:
    return sum(sum(phase["changed"].values()) for phase in ran.document["phases"].values())


def _chain_rate(ran: Ran) -> float:
    return float(ran.document["events"] / ran.document["seconds"])


def _notes(books: Filled) -> list[str]:
    workload = books.workload
    filled_by = f"The books: {books.transactions:,} transactions, booked by the workers; {workload.distribution}, "
    filled_by += f"each with a row on each of {workload.history_days + 1} days."
    unproved = f"Beyond {_PROVED_MAX:,} events the books are not folded again: `folio check --full` has seen every row."
    return [filled_by] if books.transactions <= _PROVED_MAX else [filled_by, unproved]
