"""folio rebuild: make anew, from the event store and beside live traffic, what follows from it."""

import asyncio
import sys
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from pipeline import settings as settings_module
from pipeline.cli.instants import instant
from pipeline.cli.output import Output, print_document
from pipeline.clock import SystemClock
from pipeline.crash import crash_point
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.rebuild.job import Order, Progress, changed, run
from pipeline.rebuild.opening import means_of
from pipeline.rebuild.scope import Part
from pipeline.settings import Settings
from pipeline.storage.audit import operator
from pipeline.translate import database_errors

app = App(
    name="rebuild", help="Make snapshots, transactions, balances, names of users or reports anew from the event store."
)

Org = Annotated[int, Parameter(validator=Number(gte=1, lt=2**63))]
Flag = Annotated[bool, Parameter(negative="")]


@app.default
def rebuild(
    *parts: Part,
    org: Org | None = None,
    since: str | None = None,
    dry_run: Flag = False,
    restart: Flag = False,
    output: Output = "text",
) -> int:
    """Rebuild in place, beside live traffic; rows that are right stay as they are. A killed run is taken up again.

    Parameters
    ----------
    parts
        One or more of snapshots, transactions, balances, users, reports; balances and reports follow from those before.
    org
        Only this organisation.
    since
        Only reports, and of these only what was recorded since an instant (2026-11-01T00:00:00+00:00), or since the
        last time that all were refreshed: last.
    dry_run
        Tell what would change: exit 1 where something would. Reports cannot be tried.
    restart
        Begin anew, though an earlier run of the same order was not done.
    output
        text for people, json for programs.
    """
    order = _order(parts, org, since, dry_run=dry_run)
    settings = settings_module.load()
    progress = asyncio.run(_run(settings, resolve(settings).database_url, order, dry_run=dry_run, restart=restart))
    if output == "json":
        print_document({"job": order.kind, "dry_run": dry_run, "phases": msgspec.to_builtins(progress.tallies)})
    else:
        _tell_result(order, progress, dry_run=dry_run)
    would_change = dry_run and any(tally.changed for tally in progress.tallies.values())
    return EXIT_DIFFERENT if would_change else EXIT_OK


def _order(parts: tuple[Part, ...], org: int | None, since: str | None, *, dry_run: bool) -> Order:
    if not parts:
        raise SettingsRefused(f"folio rebuild: name at least one of {', '.join(Part)}")
    if dry_run and Part.REPORTS in parts:
        raise SettingsRefused("--dry-run: reports are made anew as they are compared; leave them out of it")
    if since is None:
        return Order(frozenset(parts), org)
    if set(parts) != {Part.REPORTS}:
        raise SettingsRefused(f"--since {since}: only reports are rebuilt in part; leave out {', '.join(parts)}")
    if since == "last":
        return Order(frozenset(parts), org, since_last=True)
    return Order(frozenset(parts), org, since=instant("--since", since, also="last"))


async def _run(settings: Settings, database_url: str, order: Order, *, dry_run: bool, restart: bool) -> Progress:
    reach = crash_point(settings.worker.crash_at)
    with database_errors("rebuilding"):
        async with means_of(settings, database_url, order.parts, SystemClock(), reach, dry_run=dry_run) as means:
            return await run(means, order, operator(), _tell, restart=restart)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell_result(order: Order, progress: Progress, *, dry_run: bool) -> None:
    would = "in a dry run, " if dry_run else ""
    for phase in order.phases:
        tally = progress.tallies.get(phase)
        if tally is not None:
            print(f"{phase}: {would}{changed(tally.changed)}; {tally.looked_at:,} looked at in {tally.seconds:.1f} s")
