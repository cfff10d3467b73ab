"""folio status: how the stream stands."""

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated

import cyclopts
from rich.console import Console
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.status import StreamStatus, open_status, sample


def status(
    *,
    seconds: Annotated[float, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0.1, lte=600))] = 1.0,
    output: Output = "text",
) -> int:
    """Show lag in records and seconds, rates, outcomes and batch sizes.

    Parameters
    ----------
    seconds
        How long to look, for the rates.
    output
        text for people, json for programs.
    """
    now, rate = asyncio.run(_sample(seconds))
    if output == "json":
        print_document(_document(now, rate))
    else:
        _show(now, rate)
    standing = any(lane.stopped_reason or lane.paused_by for lane in now.lanes)
    return EXIT_DIFFERENT if standing else EXIT_OK


async def _sample(seconds: float) -> tuple[StreamStatus, float]:
    settings = settings_module.load()
    async with open_status(resolve(settings), settings.database, settings.kafka.topic_prefix) as reader:
        return await sample(reader, seconds)


def _document(now: StreamStatus, rate: float) -> dict[str, object]:
    return {
        "lag_records": now.lag_records,
        "lag_seconds": now.lag_seconds,
        "records_per_second": rate,
        "outcomes": now.outcomes(),
        "paused_orgs": now.paused_orgs,
        "lanes": [
            asdict(lane) | {"lag_records": lane.lag_records, "lag_seconds": lane.lag_seconds} for lane in now.lanes
        ],
    }


def _show(now: StreamStatus, rate: float) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("lane", "owner", "lag", "lag s", "applied", "dup", "stale", "conflict", "quarantined"):
        table.add_column(heading, justify="left" if heading == "owner" else "right")
    for heading in ("batches", "mean rows", "last rows", "unpublished", "uninvalidated"):
        table.add_column(heading, justify="right")
    for lane in now.lanes:
        mean = sum(lane.outcomes.values()) / lane.batches if lane.batches else 0
        table.add_row(
            str(lane.lane),
            lane.owner or "-",
            f"{lane.lag_records:,}",
            f"{lane.lag_seconds:.1f}",
            *(f"{count:,}" for count in lane.outcomes.values()),
            f"{lane.batches:,}",
            f"{mean:,.0f}",
            f"{lane.last_batch_rows:,}",
            f"{lane.unpublished:,}",
            f"{lane.uninvalidated:,}",
        )
    # Where nobody looks at a terminal, a table must not be cut to eighty columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in now.outcomes().items())
    console.print(f"{rate:,.0f} records/s, lag {now.lag_records:,} records, {now.lag_seconds:.1f} s; {outcomes}")
    for lane in now.lanes:
        if lane.stopped_reason:
            console.print(f"lane {lane.lane} is stopped: {lane.stopped_reason}", style="bold red", markup=False)
        if lane.paused_by:
            said = f"lane {lane.lane} is paused by {lane.paused_by}: {lane.pause_reason}"
            console.print(said, style="yellow", markup=False)
    for pause in now.paused_orgs:
        since = pause.paused_at.isoformat(" ", "seconds")
        said = f"organisation {pause.org_id} is paused since {since} by {pause.paused_by}: {pause.reason}"
        console.print(said, style="yellow", markup=False)
