"""folio replicas: how the database's replicas stand."""

from collections.abc import Sequence

from cyclopts import App
from rich.console import Console
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.loop import run_on_loop
from pipeline.masking import masked
from pipeline.storage.replicas.choice import Condition
from pipeline.storage.replicas.status import ServerStatus, replicas_status

app = App(name="replicas", help="How the database's replicas stand.")

_STYLES = {Condition.WELL: "green", Condition.LATE: "yellow"}


@app.command
def status(*, output: Output = "text") -> int:
    """Ask the primary and each replica once: lag, history, and whether reads would go there.

    The exit code is 1 when one of them is not well.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    servers = run_on_loop(replicas_status(settings, resolve(settings)))
    used = settings.flags.use_read_replicas
    if output == "json":
        print_document({"use_read_replicas": used, "servers": [_document(each) for each in servers]})
    else:
        _show(servers)
        if len(servers) == 1:
            print("no replicas: every read goes to the primary")
        elif not used:
            print("FOLIO_FLAGS_USE_READ_REPLICAS is off: every read goes to the primary")
    return EXIT_OK if all(each.well for each in servers) else EXIT_DIFFERENT


def _document(server: ServerStatus) -> dict[str, object]:
    health = server.health
    return {
        "name": server.name,
        "pool": server.pool or None,
        "address": masked(server.url),
        "condition": health.condition.value,
        "usable": health.usable,
        "lag_bytes": health.lag_bytes,
        "lag_seconds": health.lag_seconds,
        "epoch": health.epoch,
        "detail": masked(health.detail),
    }


def _show(servers: Sequence[ServerStatus]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("server", "pool", "condition", "lag bytes", "lag s", "epoch", "detail"):
        table.add_column(heading, justify="right" if heading.startswith("lag") else "left", overflow="fold")
    for each in servers:
        health = each.health
        table.add_row(
            each.name,
            each.pool,
            f"[{_STYLES.get(health.condition, 'red')}]{health.condition.value}[/]",
            "" if health.lag_bytes is None else f"{health.lag_bytes:,}",
            "" if health.lag_seconds is None else f"{health.lag_seconds:.1f}",
            health.epoch or "",
            masked(health.detail),
        )
    Console(highlight=False).print(table)
