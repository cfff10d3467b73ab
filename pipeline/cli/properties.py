"""folio properties: load what is known of properties, and list what stands."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_CANNOT, EXIT_DIFFERENT, EXIT_OK
from pipeline.properties.file import PropertyFile, read_properties
from pipeline.properties.listing import Listed, list_properties
from pipeline.properties.load import Audit, Loaded, connect_operator, plan
from pipeline.properties.load import load as write
from pipeline.properties.rules import Judgement, Verdict
from pipeline.standard_input import STANDARD_INPUT
from pipeline.storage.audit import operator
from pipeline.storage.connect import briefly
from schemas.records import PropertyKey

app = App(name="properties", help="Load and list properties: currency, opening cash, time zones.")

BAD_LINES_SHOWN: Final = 20  # whoever has more has one mistake, many times

# Without it a lone hyphen would be read as an option.
Input = Annotated[Path, Parameter(allow_leading_hyphen=True)]
Org = Annotated[int, Parameter(validator=Number(gte=1, lt=2**63))]
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))]


@app.command
def load(file: Input, /, *, execute: bool = False, output: Output = "text") -> int:
    """Show what a file of properties would change; change it with --execute. Safe to repeat, also while workers run.

    Parameters
    ----------
    file
        NDJSON, one property a line, or CSV by the extension; - is NDJSON from standard input. See docs/properties.md.
    execute
        Write it. Nothing is written while one line is wrong or one property is refused.
    output
        text for people, json for programs.
    """
    found = read_properties(file)
    if found.bad:
        _tell_bad_lines(file, found)
        return EXIT_CANNOT
    judgements, loaded = asyncio.run(_load(file, found, execute=execute))
    if output == "json":
        print_document(_plan_document(found, judgements, loaded))
    else:
        _tell_plan(found, judgements, loaded)
    refused = any(judgement.verdict is Verdict.REFUSED for judgement in judgements)
    return EXIT_DIFFERENT if refused or (loaded is not None and loaded.refused) else EXIT_OK


@app.command(name="list")
def list_(*, org: Org | None = None, after: str | None = None, limit: Limit = 100, output: Output = "text") -> int:
    """List properties in order of organisation and property.

    Parameters
    ----------
    org
        Only the properties of this organisation.
    after
        Begin after this property, written ORG:PROPERTY: where the page before ended.
    limit
        At most so many.
    output
        text for people, json for programs.
    """
    listed = asyncio.run(_list(org, _key(after), limit))
    following = "{}:{}".format(*listed[-1].key) if len(listed) == limit else None
    if output == "json":
        document = {"properties": [property_.document() for property_ in listed], "next": following}
        print_document(document)
    else:
        _show(listed, following)
    return EXIT_OK


async def _load(file: Path, found: PropertyFile, *, execute: bool) -> tuple[list[Judgement], Loaded | None]:
    """The plan, and what became of it where it was executed."""
    settings = settings_module.load()
    connecting = connect_operator(resolve(settings).database_url, settings.database)
    async with briefly(connecting, "loading properties") as connection:
        judgements = await plan(connection, found.lines.values())
        counts = Counter(judgement.verdict for judgement in judgements)
        if not execute or counts[Verdict.REFUSED]:
            return judgements, None
        changing = [found.lines[judgement.key] for judgement in judgements if judgement.writes]
        detail = {"file": file.name, "sha256": found.sha256, **_by_verdict(counts)}
        return judgements, await write(connection, changing, Audit(operator(), detail))


async def _list(org: int | None, after: PropertyKey | None, limit: int) -> Sequence[Listed]:
    settings = settings_module.load()
    connecting = connect_operator(resolve(settings).database_url, settings.database)
    async with briefly(connecting, "listing properties") as connection:
        return await list_properties(connection, org, after, limit)


def _key(text: str | None) -> PropertyKey | None:
    if text is None:
        return None
    org, colon, property_ = text.partition(":")
    if not (colon and org.isdecimal() and property_.isdecimal()) or max(int(org), int(property_)) >= 2**63:
        raise SettingsRefused(f"--after {text!r}: ORG:PROPERTY is accepted, such as 7:12")
    return int(org), int(property_)


# --- what is shown ---


def _tell_bad_lines(file: Path, found: PropertyFile) -> None:
    source = "standard input" if file == STANDARD_INPUT else file
    for bad in found.bad[:BAD_LINES_SHOWN]:
        print(f"{source}, line {bad.number}: {bad.problem}", file=sys.stderr)
    more = len(found.bad) - BAD_LINES_SHOWN
    if more > 0:
        print(f"and {more:,} more", file=sys.stderr)
    print(f"lines that are wrong: {len(found.bad):,}; nothing was written", file=sys.stderr)


def _tell_plan(found: PropertyFile, judgements: Sequence[Judgement], loaded: Loaded | None) -> None:
    late = loaded.refused if loaded is not None else ()
    for judgement in (*judgements, *late):
        if judgement.verdict is not Verdict.UNCHANGED:
            org_id, property_id = judgement.key
            where = f"line {found.numbers[judgement.key]}, org {org_id} property {property_id}"
            print(f"{judgement.verdict:<9} {where}: {'; '.join(judgement.said)}")
    counts = Counter(judgement.verdict for judgement in judgements)
    print(", ".join(f"{counts[verdict]:,} {verdict}" for verdict in Verdict))
    print(_ending(counts, loaded))


def _ending(counts: Counter[Verdict], loaded: Loaded | None) -> str:
    if counts[Verdict.REFUSED]:
        return "nothing was written: repair or remove what is refused"
    if loaded is not None and loaded.refused:
        return f"{loaded.written:,} properties were written, then the books had moved on: see what is refused"
    if loaded is not None:
        return f"{loaded.written:,} properties were written" if loaded.written else "nothing to change"
    if counts[Verdict.NEW] + counts[Verdict.CHANGED]:
        return "nothing was written: repeat with --execute"
    return "nothing to change"


def _plan_document(found: PropertyFile, judgements: Sequence[Judgement], loaded: Loaded | None) -> dict[str, object]:
    counts = Counter(judgement.verdict for judgement in judgements)
    late = loaded.refused if loaded is not None else ()
    return {
        **_by_verdict(counts),
        "executed": loaded is not None,
        "written": loaded.written if loaded is not None else 0,
        "properties": [
            {
                "line": found.numbers[judgement.key],
                "org_id": judgement.key[0],
                "property_id": judgement.key[1],
                "verdict": judgement.verdict,
                "said": judgement.said,
            }
            for judgement in (*judgements, *late)
        ],
    }


def _by_verdict(counts: Counter[Verdict]) -> dict[str, int]:
    return {verdict.value: counts[verdict] for verdict in Verdict}


def _show(listed: Sequence[Listed], following: str | None) -> None:
    table = Table(box=None, header_style="bold")
    for heading in ("org", "property", "name", "currency", "opening cash", "cents", "zones", "origin"):
        table.add_column(
            heading, justify="right" if heading in {"org", "property", "opening cash", "cents"} else "left"
        )
    for property_ in listed:
        table.add_row(
            *map(str, property_.key),
            property_.name or "-",
            property_.currency,
            property_.opening_cash or "-",
            str(property_.opening_cash_cents),
            property_.zones,
            "self-registered" if property_.self_registered else "loaded",
        )
    # Where nobody looks at a terminal, a table must not be cut to eighty columns.
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160).print(table)
    if following is not None:
        print(f"there may be more: --after {following}")
