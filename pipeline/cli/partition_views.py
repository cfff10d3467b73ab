"""How `folio partitions` shows what it found: for people, and as documents."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from pipeline.cli.output import Output, print_document
from pipeline.maintenance.partitions.modulus import Split, needs
from pipeline.maintenance.partitions.planning import Plan
from pipeline.maintenance.partitions.standing import Standing
from pipeline.maintenance.partitions.state import State


def show_status(state: State, standings: Sequence[Standing], retention_problem: str | None) -> None:
    """Each partition, each table of months, and what must be done."""
    console = Console(highlight=False)
    partitions = _table("partition", "rows (about)", "bytes")
    for each in state.partitions:
        partitions.add_row(f"{each.table.partition('.')[0]}.{each.name}", f"{each.rows:,}", f"{each.bytes:,}")
    console.print(partitions)
    tables = _table("table", "months ahead", "days left", "in default", "past retention", "waiting")
    for standing in standings:
        tables.add_row(
            standing.table,
            str(standing.months_ahead),
            f"{standing.runway_days:.1f}",
            f"{standing.default_rows:,}",
            str(standing.cleanup_lag_months),
            str(standing.waiting_months),
        )
    console.print(tables)
    problems = [problem for standing in standings for problem in standing.problems]
    problems += [retention_problem] if retention_problem is not None else []
    print("\n".join(problems) or "partitions are as they must be")


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column(first, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def show_plan(steps: Plan, output: Output) -> None:
    """The steps in order."""
    if output == "json":
        document = [asdict(step) | {"step": type(step).__name__, "words": step.words} for step in steps]
        print_document({"steps": document})
        return
    for number, step in enumerate(steps, 1):
        print(f"{number}. {step.words}")
    print("nothing was changed: `folio partitions apply` does it" if steps else "nothing to do")


def show_splits(splits: list[Split], target: int, output: Output) -> None:
    """Which partitions fall apart, in order, and what it takes."""
    if output == "json":
        document = [asdict(split) | {"words": split.words(target)} for split in splits]
        print_document({"modulus": target, "splits": document, "needs": needs(splits)})
        return
    for number, split in enumerate(splits, 1):
        print(f"{number}. {split.words(target)}")
    print("it needs:")
    for need in needs(splits):
        print(f"- {need}")
