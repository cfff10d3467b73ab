"""`folio verify`: fold the topics independently and prove that the database says the same."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipeline import settings as settings_module
from pipeline.cli.output import Output
from pipeline.endpoints import resolve
from pipeline.oracle import Report, reconcile
from pipeline.oracle.reconcile import Progress
from pipeline.oracle.report import as_json, as_text


def verify(
    *,
    output: Output = "text",
    differences_max: Annotated[int, Parameter(validator=Number(gte=0))] = 20,
) -> int:
    """Prove the books: fold the topics again, independently, and compare every table with the result.

    Exit code 0: no difference; records that the database rejected are taken on trust, and counted. 1: differences.
    2: it cannot be proved: records have left the topic, or none was consumed.

    Parameters
    ----------
    output
        Text for people, or one JSON document.
    differences_max
        How many differences are shown; all are counted.
    """
    report = asyncio.run(_reconcile())
    print({"text": as_text, "json": as_json}[output](report, differences_max))
    return report.exit_code


async def _reconcile() -> Report:
    settings = settings_module.load()
    endpoints = resolve(settings)
    with _bars() as progress:
        return await reconcile(
            endpoints.database_url,
            endpoints.kafka_bootstrap,
            topic_prefix=settings.kafka.topic_prefix,
            retention_months=settings.batch.retention_months,
            progress=progress,
        )


@contextmanager
def _bars() -> Iterator[Progress]:
    """A bar for each step on a terminal's standard error; elsewhere nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=max(done, total))

        yield progress
