"""folio settings: what holds, and where it was given."""

import os
import sys
from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.output import Output, print_document
from pipeline.exits import EXIT_OK
from pipeline.settings import Loaded, definitions, load_with_origins, shown
from pipeline.settings_layers import FILE_VARIABLE, Kind, profile_name, variable

app = App(name="settings", help="Show the settings.")


@dataclass(frozen=True, slots=True)
class Row:
    """A setting for people's eyes; `where` names the variable, the file and key, or the profile that gave it."""

    variable: str
    value: str | None
    origin: Kind
    where: str | None
    description: str


@app.command
def show(
    *,
    only_changed: Annotated[bool, Parameter(negative="")] = False,
    output: Output = "text",
) -> int:
    """Show each setting, its value and where it was given. Passwords are shown as ***.

    Parameters
    ----------
    only_changed
        Only what a profile, the file or the environment gives.
    output
        text for people, json for programs.
    """
    rows = [row for row in described(load_with_origins()) if row.origin != "default" or not only_changed]
    profile, file = profile_name(os.environ), os.environ.get(FILE_VARIABLE) or None
    if output == "json":
        document = {"profile": profile, "file": file, "settings": [asdict(row) for row in rows]}
        print_document(document)
        return EXIT_OK
    # Where nobody looks at a terminal, a table must not be cut to eighty columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
    console.print(_table(rows))
    console.print(f"profile {profile}, file {file or 'none'}", markup=False, soft_wrap=True)
    return EXIT_OK


def described(loaded: Loaded) -> list[Row]:
    """Every setting, in the order of the page."""
    rows = []
    for key, definition in definitions().items():
        section, name = key
        value = getattr(getattr(loaded.settings, section), name)
        where = loaded.given[key].where if key in loaded.given else None
        text = None if value is None else shown(definition, value)
        rows.append(Row(variable(key), text, loaded.origin(key), where, definition.description or ""))
    return rows


def _table(rows: list[Row]) -> Table:
    table = Table("variable", "value", "origin", "description", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        # What others wrote is no markup: a square bracket in it stays one.
        table.add_row(row.variable, Text(row.value or ""), row.origin, row.description)
    return table
