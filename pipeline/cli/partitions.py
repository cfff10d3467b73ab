"""folio partitions: months made ahead, taken away past retention, brought back from archives."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number
from prometheus_client import generate_latest

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.cli.partition_views import show_plan, show_splits, show_status
from pipeline.clock import SystemClock
from pipeline.crash import crash_point
from pipeline.endpoints import resolve_database
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.logs import configure
from pipeline.maintenance.partitions.archives import Header, read_header, verified
from pipeline.maintenance.partitions.gauges import gauges
from pipeline.maintenance.partitions.locking import connect_maintainer, only_run, require_owner
from pipeline.maintenance.partitions.modulus import plan_modulus
from pipeline.maintenance.partitions.planning import Purpose
from pipeline.maintenance.partitions.restoring import require_restorable, restore
from pipeline.maintenance.partitions.running import (
    Maintaining,
    StepDone,
    maintain,
    maintaining,
    planned,
    require_enabled,
)
from pipeline.maintenance.partitions.standing import retention_problem, standings
from pipeline.maintenance.partitions.state import State, read_state
from pipeline.settings import Settings
from pipeline.storage.audit import operator
from pipeline.storage.connect import briefly
from pipeline.storage.migrate import require_schema

app = App(name="partitions", help="Months made ahead, taken away past retention, brought back from archives.")

# Kafka keeps 30 days: younger events are needed to prove what it still has.
EVENTS_MONTHS_MIN = 2

Archive = Annotated[Path | None, Parameter(name="--archive")]
EventsOlderThan = Annotated[int | None, Parameter(validator=Number(gte=EVENTS_MONTHS_MIN, lte=1_200))]


@app.command
def status(*, output: Literal["text", "json", "prometheus"] = "text") -> int:
    """Show how long the months last, what lies in a default partition, and what should have left.

    Exit code 1 when something must be done: the next month is missing, rows are in a default partition, a clean-up was
    missed, or the workers keep transactions for longer than is set here.

    Parameters
    ----------
    output
        text for people, json for programs, prometheus for node_exporter's collector of text files.
    """
    settings = settings_module.load()
    state, now = asyncio.run(_look(settings)), SystemClock().now()
    keeping = maintaining(settings).keeping
    found, retention = standings(state, now, keeping), retention_problem(state, keeping)
    if output == "prometheus":
        sys.stdout.write(generate_latest(gauges(state, found)).decode())
    elif output == "json":
        partitions = [asdict(partition) for partition in state.partitions]
        tables = [asdict(each) | {"problems": list(each.problems)} for each in found]
        waiting = [asdict(each) for each in state.waiting]
        print_document({"tables": tables, "partitions": partitions, "waiting": waiting, "retention_problem": retention})
    else:
        show_status(state, found, retention)
    ill = retention is not None or any(problem for each in found for problem in each.problems)
    return EXIT_DIFFERENT if ill else EXIT_OK


@app.command(name="plan")
def plan_(
    *,
    only: Purpose | None = None,
    archive: Archive = None,
    events_older_than: EventsOlderThan = None,
    modulus: int | None = None,
    output: Output = "text",
) -> int:
    """Show what apply would do, in which order. Changes nothing.

    Parameters
    ----------
    only
        create: the months that are missing; expire: what is past retention.
    archive
        Folder for the rows of months that leave; without one, transactions are dropped.
    events_older_than
        Take months of the event store away, too, when they are older than so many months; they are always archived.
    modulus
        Instead: what spreading balances and snapshots over so many partitions would take.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    state = asyncio.run(_look(settings))
    if modulus is not None:
        show_splits(plan_modulus(state, modulus), modulus, output)
        return EXIT_OK
    show_plan(planned(maintaining(settings, archive, events_older_than), state, only), output)
    return EXIT_OK


@app.command
def apply(
    *,
    only: Purpose | None = None,
    archive: Archive = None,
    events_older_than: EventsOlderThan = None,
    output: Output = "text",
) -> int:
    """Make the months that are missing, and take away those past retention. Safe to repeat, beside live workers.

    Exit code 1 when another run is at work: what was asked for is not done by this one.

    Parameters
    ----------
    only
        create: the months that are missing; expire: what is past retention.
    archive
        Folder for the rows of months that leave; without one, transactions are dropped.
    events_older_than
        Take months of the event store away, too, when they are older than so many months; they are always archived.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    asked = maintaining(settings, archive, events_older_than)
    require_enabled(asked)
    configure(settings.log.level)
    done = asyncio.run(_apply(settings, asked, only, _tell if output == "text" else _keep_quiet))
    if output == "json":
        steps = [{"step": each.step.words, "rows": each.rows, "seconds": each.seconds} for each in done or ()]
        print_document({"another_run": done is None, "done": steps})
    elif done is None:
        print("another run is at work: nothing was done")
    elif not done:
        print("nothing to do")
    return EXIT_DIFFERENT if done is None else EXIT_OK


@app.command(name="restore")
def restore_(file: Path, /, *, output: Output = "text") -> int:
    """Bring an archived month of the event store back as a partition. Exit code 1 when another run is at work.

    Parameters
    ----------
    file
        The archive, as apply has written it.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    require_enabled(maintaining(settings))
    configure(settings.log.level)
    header = asyncio.run(_restore(settings, file))
    if output == "json":
        print_document({"another_run": header is None, "restored": header})
    elif header is None:
        print("another run is at work: nothing was done")
    else:
        print(f"{header.table} has {header.month:%Y-%m} again: {header.rows:,} rows")
    return EXIT_DIFFERENT if header is None else EXIT_OK


@app.command
def show(file: Path, /, *, output: Output = "text") -> int:
    """Read an archive from end to end, and say what it holds; its rows are `zcat FILE | tail -n +2`.

    Parameters
    ----------
    file
        The archive, as apply has written it.
    output
        text for people, json for programs.
    """
    header = verified(file)
    if output == "json":
        print_document(header)
    else:
        print(f"{header.table} {header.month:%Y-%m}: {header.rows:,} rows, SHA-256 {header.sha256} as it must be")
    return EXIT_OK


def _tell(done: StepDone) -> None:
    print(f"{done.step.words}: {done.rows:,} rows, {done.seconds:.3f} s", flush=True)


def _keep_quiet(_: StepDone) -> None:
    return


async def _look(settings: Settings) -> State:
    connecting = connect_maintainer(resolve_database(settings), settings.database, "folio partitions")
    async with briefly(connecting, "looking at the partitions") as connection:
        await require_schema(connection)
        return await read_state(connection)


async def _apply(
    settings: Settings, asked: Maintaining, purpose: Purpose | None, tell: Callable[[StepDone], None]
) -> Sequence[StepDone] | None:
    """What was done; None while another run is at work."""
    connecting = connect_maintainer(resolve_database(settings), settings.database, "folio partitions")
    async with briefly(connecting, "maintaining the partitions") as connection:
        return await maintain(connection, asked, purpose, operator(), tell)


async def _restore(settings: Settings, file: Path) -> Header | None:
    connecting = connect_maintainer(resolve_database(settings), settings.database, "folio partitions")
    async with briefly(connecting, "restoring a month") as connection:
        await require_schema(connection)
        await require_owner(connection)
        async with only_run(connection) as ours:
            if not ours:
                return None
            require_restorable(read_header(file), await read_state(connection))
            reach = crash_point(settings.worker.crash_at)
            return await restore(connection, file, settings.partitions, operator(), reach)
