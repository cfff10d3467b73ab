"""`folio stack up|status|down`: the local stack on the command line."""

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import stack_config
from pipeline.errors import StackFailed
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.masking import masked
from pipeline.stack import StackConfig
from pipeline.stack.config import REPLICAS, VARIABLES
from pipeline.stack.stack import PartStatus, down, status, up

app = App(name="stack", help="Real PostgreSQL, Kafka and Valkey as processes, from packages, in one folder.")

Answer = Annotated[Output, Parameter(help="text for people, json for programs.")]
Directory = Annotated[Path | None, Parameter(name="--dir", help="The stack's folder; default FOLIO_STACK_DIR.")]
STATE_STYLES = {"running": "green", "external": "green", "not answering": "red", "stopped": "yellow"}


@app.command(name="up")
def up_command(
    directory: Directory = None,
    *,
    postgres_port: int | None = None,
    kafka_port: int | None = None,
    valkey_port: int | None = None,
    replicas: Annotated[
        int | None, Parameter(help="Standbys that follow the database; default: as many as were.")
    ] = None,
    output: Answer = "text",
) -> int:
    """Start what is missing and wait until it serves.

    A port that you name must be free; otherwise another one is taken and kept.
    """
    wanted = {"postgres": postgres_port, "kafka": kafka_port, "valkey": valkey_port}
    ports = {name: port for name, port in wanted.items() if port is not None}

    def act() -> int:
        config = _config(directory, ports)
        if replicas is not None:
            config = replace(config, replicas=replicas)
        with Console(stderr=True).status("starting PostgreSQL, Kafka and Valkey …"):
            up(config)
        return _tell(status(config), output)

    return _answer(act)


@app.command(name="status")
def status_command(directory: Directory = None, *, output: Answer = "text") -> int:
    """Show each part, its address and its version, as it answers itself."""
    return _answer(lambda: _tell(status(_config(directory)), output))


@app.command(name="down")
def down_command(
    directory: Directory = None,
    *,
    purge: Annotated[bool, Parameter(negative="", help="Also remove all their data.")] = False,
    output: Answer = "text",
) -> int:
    """Stop the parts that `up` started."""

    def act() -> int:
        config = _config(directory)
        down(config, purge_data=purge)
        if output == "json":
            print_document({"directory": str(config.directory), "purged": purge})
        else:
            print(f"{config.directory}: down{' and removed' if purge else ''}")
        return EXIT_OK

    return _answer(act)


def _config(directory: Path | None, ports: dict[str, int] | None = None) -> StackConfig:
    config = stack_config(settings_module.load(), ports)
    return config if directory is None else replace(config, directory=directory)


def _answer(act: Callable[[], int]) -> int:
    try:
        return act()
    except StackFailed as exc:
        print(f"folio stack: {exc}", file=sys.stderr)
        return EXIT_DIFFERENT


def _tell(parts: tuple[PartStatus, ...], output: Output) -> int:
    if output == "json":
        print_document({"parts": [asdict(part) | {"address": masked(part.address)} for part in parts]})
    else:
        _show(parts)
    return EXIT_OK if all(part.well for part in parts) else EXIT_DIFFERENT


def _show(parts: tuple[PartStatus, ...]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column in ("part", "state", "pid", "version"):
        table.add_column(column)
    for part in parts:
        state = f"[{STATE_STYLES[part.state]}]{part.state}[/]"
        told = ", ".join(filter(None, (part.version, escape(part.detail))))
        table.add_row(part.part, state, str(part.pid or ""), told)
    console.print(table)
    # Addresses are there to be copied: whole lines, never wrapped.
    lines = [
        f"{VARIABLES[part.part]}={masked(part.address)}" for part in parts if part.address and part.part in VARIABLES
    ]
    replicas = [masked(part.address) for part in parts if part.address and part.part in REPLICAS]
    for line in (*lines, *([f"FOLIO_REPLICA_URLS={','.join(replicas)}"] if replicas else [])):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
