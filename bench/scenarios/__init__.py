"""What can be measured: one module a scenario, each with `run(target, form, progress) -> ScenarioResult`."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from bench.form import Form
from bench.progress import Progress
from bench.results import ScenarioResult
from bench.target import Target

Run = Callable[[Target, Form, Progress], Awaitable[ScenarioResult]]

# Scenario to the module, and the function in it, in the order in which all of them are run.
SCENARIOS: Final[dict[str, tuple[str, str]]] = {
    "drain": ("drain", "run"),
    "creations": ("creations", "run"),
    "limit": ("limit", "run"),
    "live": ("live", "run"),
    "peers": ("peers", "run"),
    "invalidate": ("invalidate", "run"),
    "scale": ("scale", "run"),
    "storage": ("storage", "run"),
    "serve": ("serve", "run"),
    "phase1": ("phases", "phase1"),
    "phase2": ("phases", "phase2"),
    "phase3": ("phases", "phase3"),
    "users": ("users", "run"),
}


def find(name: str) -> Run | None:
    """The scenario's function; None while nobody has made it."""
    module, function = SCENARIOS[name]
    where = f"bench.scenarios.{module}"
    if find_spec(where) is None:
        return None
    run: Run = getattr(import_module(where), function)
    return run
