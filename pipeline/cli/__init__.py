"""The command line: one module a command, one place that turns errors into messages and exit codes."""

import gc
import sys
from importlib.metadata import version

from cyclopts import App
from rich.console import Console

from pipeline.errors import Fatal, Transient
from pipeline.exits import EXIT_FATAL, EXIT_UNAVAILABLE
from pipeline.masking import masked

# What is loaded stays: by default the collector walks it again and again while it grows.
gc.set_threshold(20_000, 20, 20)

app = App(
    name="folio",
    help="Finance events from Kafka to exact daily balances in PostgreSQL and realtime updates.",
    version=lambda: version("foliostream"),
)
# Named, not imported: a command loads what it needs and nothing else.
for _name, _where in {
    "run": "run:run",
    "migrate": "migrate:migrate",
    "topics": "topics:app",
    "produce": "produce:produce",
    "status": "status:status",
    "freshness": "freshness:freshness",
    "verify": "verify:verify",
    "verify-chain": "verify_chain:verify_chain",
    "positions": "positions:app",
    "partitions": "partitions:app",
    "pause": "pausing:pause",
    "resume": "pausing:resume",
    "replicas": "replicas:app",
    "stack": "stack:app",
    "doctor": "doctor:doctor",
    "dlq": "dlq:app",
    "demo": "demo:demo",
    "bench": "bench:bench",
    "properties": "properties:app",
    "rebuild": "rebuild:app",
    "check": "check:check",
    "night-audit": "night_audit:night_audit",
    "tail": "tail:tail",
    "settings": "settings:app",
    "completion": "completion:completion",
    "schema": "schema:schema",
    "serve": "serve:serve",
    "token": "token:token",
    "validate": "validate:validate",
}.items():
    app.command(f"pipeline.cli.{_where}", name=_name)


def main() -> None:
    """Entry point of `folio`."""
    try:
        code = app()
    except Fatal as error:
        _say(error)
        sys.exit(EXIT_FATAL)
    except Transient as error:
        _say(error)
        sys.exit(EXIT_UNAVAILABLE)
    sys.exit(code if isinstance(code, int) else 0)


def _say(error: Exception) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"folio: {masked(str(error))}", style="bold red", markup=False
    )
