"""`folio check`: hold the books against themselves, remember what has drifted, and make it right when told to."""

import asyncio
import sys
from typing import Annotated, Final
from uuid import UUID

from cyclopts import Parameter
from cyclopts.validators import Number

from pipeline import settings as settings_module
from pipeline.cli.instants import instant
from pipeline.cli.output import Output, print_document
from pipeline.cli.producing import running_producer
from pipeline.clock import SystemClock
from pipeline.consistency.corrections import Repairing
from pipeline.consistency.job import Means, Order, Progress, run
from pipeline.consistency.opening import BOOKS, means_of
from pipeline.consistency.recording import OpenDrift, count_open, open_drifts
from pipeline.consistency.repair import Repaired, Tools, repair
from pipeline.crash import crash_point
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.rebuild.opening import means_of as means_of_rebuild
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.audit import operator
from pipeline.translate import database_errors

Org = Annotated[int, Parameter(validator=Number(gte=1, lt=2**63))]
Flag = Annotated[bool, Parameter(negative="")]
_SHOWN_MAX: Final = 20


class _Answer:
    """What the command has to say when it is done."""

    def __init__(self, order: Order, job_id: UUID, progress: Progress) -> None:
        self.order = order
        self.job_id = job_id
        self.progress = progress
        self.repaired: Repaired | None = None
        self.open: dict[str, int] = {}
        self.first: list[OpenDrift] = []


def check(
    *,
    org: Org | None = None,
    since: str | None = None,
    full: Flag = False,
    every_byte: Flag = False,
    repair: Flag = False,
    restart: Flag = False,
    output: Output = "text",
) -> int:
    """Check that snapshots are what the store says, and transactions and balances what follows from them.

    Looks at what was recorded since the last check, and at what has drifted before; the first check, and --full, look
    at everything. A killed run is taken up again. Exit code 1: drifts stand open.

    Parameters
    ----------
    org
        Only this organisation.
    since
        Only organisations of which something was recorded since an instant (2026-11-01T00:00:00+00:00).
    full
        Everything, whenever it was recorded: sums by organisation, and closely where they do not agree.
    every_byte
        Everything, closely: every transaction folded from its stored bytes, texts too.
    repair
        Make right whatever stands open: transactions are rebuilt from the store, days recomputed by the workers.
    restart
        Begin anew, though an earlier run of the same order was not done.
    output
        text for people, json for programs.
    """
    order = _order(org, since, full=full, every_byte=every_byte)
    settings = settings_module.load()
    answer = asyncio.run(_run(settings, order, mend=repair, restart=restart))
    _show_document(answer) if output == "json" else _show(answer)
    return EXIT_DIFFERENT if answer.open or not answer.progress.whole else EXIT_OK


def _order(org: int | None, since: str | None, *, full: bool, every_byte: bool) -> Order:
    if sum((org is not None, since is not None, full, every_byte)) > 1:
        raise SettingsRefused("folio check: one of --org, --since, --full and --every-byte at most")
    return Order(full, every_byte, org, instant("--since", since) if since is not None else None)


async def _run(settings: Settings, order: Order, *, mend: bool, restart: bool) -> _Answer:
    endpoints = resolve(settings)
    reach = crash_point(settings.worker.crash_at)
    with database_errors("checking"):
        async with means_of(settings, endpoints.database_url, SystemClock(), reach) as means:
            answer = _Answer(order, *await run(means, order, operator(), _tell, restart=restart))
            if mend and await count_open(means.operator):
                answer.repaired = await _repair(settings, endpoints, means, answer)
            answer.open = await count_open(means.operator)
            answer.first = await open_drifts(means.operator, 0, _SHOWN_MAX)
    return answer


async def _repair(settings: Settings, endpoints: Endpoints, means: Means, answer: _Answer) -> Repaired:
    repairing = Repairing(answer.job_id, answer.progress.began_at, settings.consistency.repair_user_id)
    async with (
        means_of_rebuild(settings, endpoints.database_url, BOOKS, means.clock, means.reach) as rebuilding,
        running_producer(endpoints.kafka_bootstrap, settings.kafka.topic_prefix, "folio-check") as producer,
    ):
        tools = Tools(rebuilding, producer, settings.kafka.topic_prefix)
        return await repair(means, tools, repairing, operator(), _tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _show(answer: _Answer) -> None:
    progress = answer.progress
    rate = progress.transactions / progress.seconds if progress.seconds else 0
    found = _counts(progress.drifts) or "no drift"
    at_least = "" if progress.whole else ", and there may be more"
    print(f"{answer.order.kind}: {progress.transactions:,} transactions ({rate:,.0f}/s): {found}{at_least}")
    done = answer.repaired
    if done is not None:
        print(f"repaired: {_counts(done.rebuilt) or 'nothing'} rebuilt, {done.recomputed:,} days recomputed")
        if done.unapplied:
            print(
                f"{done.unapplied:,} corrections are not applied yet: does a worker run? `folio status` tells of lanes"
            )
    for drift in answer.first:
        print(f"  organisation {drift.org_id}: {drift.kind} {drift.subject}: {', '.join(drift.differs)}")
    if answer.open:
        print(f"open: {_counts(answer.open)}; every one is in ops.drifts with what is there and what ought to be")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))


def _show_document(answer: _Answer) -> None:
    progress, done = answer.progress, answer.repaired
    repaired = done and {
        "rebuilt": done.rebuilt,
        "recomputed": done.recomputed,
        "unapplied": done.unapplied,
        "left": done.left,
    }
    print_document(
        {
            "job": answer.order.kind,
            "job_id": str(answer.job_id),
            "transactions": progress.transactions,
            "seconds": progress.seconds,
            "drifts": progress.drifts,
            "whole": progress.whole,
            "repaired": repaired,
            "open": answer.open,
        }
    )
