"""folio freshness: how long uncommitted records wait, and whose."""

import asyncio
import sys
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_OK
from pipeline.freshness import Freshness, Waiting, look


def freshness(
    *,
    worst: Annotated[int, Parameter(validator=Number(gte=0, lte=1_000))] = 10,
    records_max: Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))] = 20_000,
    output: Output = "text",
) -> int:
    """Show the age of the oldest uncommitted record: overall, by lane, and of the worst organisations.

    It reads the records themselves from the broker, joins no group and commits nothing: it is right when every worker
    is stopped, too.

    Parameters
    ----------
    worst
        How many organisations to show, those that have waited longest first.
    records_max
        How many records to read of each lane and topic. Where there are more, it says so: ages stand, counts are then
        at least.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    found = asyncio.run(look(settings, resolve(settings), records_max))
    if output == "json":
        print_document(document(found, worst))
    else:
        _show(found, worst)
    return EXIT_OK


def document(found: Freshness, worst: int) -> dict[str, object]:
    """For programs. `complete` is false where there were more records than were read."""
    return {
        "age_seconds": found.age_seconds,
        "waiting": found.records,
        "complete": not found.cut,
        "lanes": [
            {"lane": lane, "complete": lane not in found.cut, **_waiting(found, each)}
            for lane, each in sorted(found.lanes.items())
        ],
        "organisations": [{"org_id": org_id, **_waiting(found, each)} for org_id, each in found.worst(worst)],
    }


def _waiting(found: Freshness, each: Waiting) -> dict[str, object]:
    return {"age_seconds": each.age_seconds(found.at), "waiting": each.records}


def _show(found: Freshness, worst: int) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    lanes = [(str(lane), each, lane in found.cut) for lane, each in sorted(found.lanes.items())]
    console.print(_table("lane", found, lanes))
    organisations = [(str(org_id), each, bool(found.cut)) for org_id, each in found.worst(worst)]
    if organisations:
        console.print(_table("organisation", found, organisations))
    at_least = "at least " if found.cut else ""
    console.print(f"{at_least}{found.records:,} records wait, the oldest for {found.age_seconds:.1f} s")
    if found.cut:
        cut = ", ".join(map(str, sorted(found.cut)))
        console.print(f"more records than were read in lane(s) {cut}: counts are at least (--records-max)")


def _table(heading: str, found: Freshness, rows: list[tuple[str, Waiting, bool]]) -> Table:
    table = Table(box=None, header_style="bold")
    for each in (heading, "oldest s", "waiting"):
        table.add_column(each, justify="right")
    for name, waiting, cut in rows:
        table.add_row(name, f"{waiting.age_seconds(found.at):.1f}", f"{waiting.records:,}{'+' if cut else ''}")
    return table
