"""folio demo: a trading day through the whole pipeline on the local stack, reconciled. `make run` calls it."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline import demo as day_through
from pipeline import settings as settings_module
from pipeline.api.console_address import console_address, of_local_stack
from pipeline.demo import Day, Moment, Show, Workers
from pipeline.demo_server import DemoServer, running_server
from pipeline.endpoints import resolve, stack_config
from pipeline.exits import EXIT_OK
from pipeline.logs import configure
from pipeline.oracle.report import Report, as_text
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.stack.folder import SERVER_LOG, WORKERS_LOG
from pipeline.stack.jars import absent, cache_folder, locked_jars
from pipeline.stack.stack import up

_LINE_SECONDS: Final = 1.0  # between lines of progress where no terminal is
_DIFFERENCES_MAX: Final = 20

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Since:
    """What the seconds to the reconciliation are counted from: a first start downloads Kafka, and is told apart."""

    kind: str
    began: float


def demo(
    *,
    events: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000_000))] = 100_000,
    orgs: Annotated[int, Parameter(validator=Number(gte=1))] = 1_000,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=16))] = 2,
) -> int:
    """Start the local stack, run a trading day through the pipeline, and reconcile it.

    In a terminal it goes on with a live trickle until Ctrl-C. Each run brings a new day to the same stack.

    Parameters
    ----------
    events
        Messages of the day: about 1.5% corrections, 0.5% duplicates, 2% late, 0.1% poison.
    orgs
        Organisations that trade.
    workers
        Worker processes.
    """
    began = time.monotonic()
    settings = settings_module.load()
    configure("warning")
    stack = stack_config(settings)
    downloads = "kafka" not in stack.external and absent(locked_jars(), cache_folder())
    kind = "cold start, Kafka is downloaded first" if downloads else "warm start"
    with console.status(f"starting PostgreSQL, Kafka and Valkey ({kind}) …"):
        up(stack)
    console.print(f"{kind}: the stack is up after {time.monotonic() - began:.1f} s, in {settings.stack.dir}")
    return asyncio.run(_demo(settings, events, orgs, workers, Since(kind, began)))


async def _demo(settings: Settings, events: int, orgs: int, workers: int, since: Since) -> int:
    endpoints = resolve(settings)
    await day_through.prepare(settings, endpoints)
    plan = await day_through.next_plan(settings, endpoints, events, orgs)
    log = settings.stack.dir / WORKERS_LOG
    with day_through.running_workers(settings, workers, log) as running, _serving(settings) as server:
        await running.wait_until_ready()
        if server is not None:
            await server.wait_until_ready()
            console.print(f"console: {console_address(settings, server.address)}", markup=False)
        console.print(f"trading day {plan.day}: {events:,} messages of {orgs:,} organisations, {workers} worker(s)")
        with _progress() as show:
            day = await day_through.trade(settings, endpoints, plan, running, show)
        _tell(day)
        with console.status("reconciling: folding every event again, independently …"):
            report = await day_through.prove(settings, endpoints)
        _tell_proof(report, since)
        if server is not None:
            await _tell_reads(endpoints, server, plan.day)
        if sys.stdout.isatty() and report.exit_code == EXIT_OK:
            await _go_on(settings, running, day)
    return report.exit_code


@contextmanager
def _serving(settings: Settings) -> Iterator[DemoServer | None]:
    """A server beside the workers; None where whose tokens it should believe is for somebody else to say."""
    if not of_local_stack(settings) and settings.api.jwks_path is None:
        yield None
        return
    with running_server(settings, settings.stack.dir / SERVER_LOG) as server:
        yield server


async def _tell_reads(endpoints: Endpoints, server: DemoServer, day: date) -> None:
    """Commands to paste, of a hotel that has traded."""
    hotel = await day_through.a_hotel(endpoints, day)
    if hotel is None:
        return
    org_id, property_id = hotel
    console.print("in another terminal, a balance, and its organisation's changes as they come:")
    for command in (server.curl_of(org_id, property_id, day.isoformat()), server.curl_of_stream(org_id)):
        console.print(f"  {command}", markup=False)


async def _go_on(settings: Settings, running: Workers, day: Day) -> None:
    console.print("a live trickle goes on; Ctrl-C ends it. Try `folio status` and `folio verify` meanwhile.")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    endpoints = resolve(settings)
    plan = await day_through.next_plan(settings, endpoints, day.plan.events, day.plan.orgs)
    with _progress() as show:
        await day_through.go_on(settings, endpoints, plan, running, show, stop)


def _tell(day: Day) -> None:
    total = sum(day.outcomes.values())
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in day.outcomes.items())
    console.print(
        f"{total - day.corrections:,} events and {day.corrections:,} corrections "
        f"in {day.seconds:.1f} s of pipeline time ({total / day.seconds:,.0f}/s), "
        f"from the first message sent to the last update published: {outcomes}"
    )


def _tell_proof(report: Report, since: Since) -> None:
    console.print(as_text(report, _DIFFERENCES_MAX), markup=False)
    if report.exit_code == EXIT_OK:
        console.print(
            f"proved with them: {report.corrections:,} corrections and the {report.adjustments:,} adjustments they made"
        )
    console.print(f"{since.kind}: {time.monotonic() - since.began:.1f} s to the reconciliation")


@contextmanager
def _progress() -> Iterator[Show]:
    """A table that moves in a terminal; elsewhere a line each second."""
    if not console.is_terminal:
        yield _Lines().show
        return
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        yield lambda moment: live.update(_table(moment))


class _Lines:
    """Progress as lines, one a second."""

    def __init__(self) -> None:
        self._said_at = 0.0

    def show(self, moment: Moment) -> None:
        if time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            console.print("  " + ", ".join(f"{name} {value}" for name, value in _figures(moment)))


def _table(moment: Moment) -> Table:
    table = Table(box=None, show_header=False)
    for name, value in _figures(moment):
        table.add_row(name, value)
    return table


def _figures(moment: Moment) -> list[tuple[str, str]]:
    status, commit = moment.status, moment.commit_seconds_mean
    last_rows = max((lane.last_batch_rows for lane in status.lanes), default=0)
    return [
        ("events/s", f"{moment.events_per_second:,.0f}"),
        *([("produced", f"{moment.produced:,}")] if moment.produced else []),
        ("lag", f"{status.lag_records:,} records, {status.lag_seconds:.1f} s"),
        ("batch", f"{last_rows:,} rows"),
        ("commit", "-" if commit is None else f"{commit * 1000:.0f} ms"),
        *((outcome, f"{count:,}") for outcome, count in status.outcomes().items()),
    ]
