"""Every command answers programs as well as people: `--output json`, or a reason why not."""

import inspect
from collections.abc import Iterator

from cyclopts import App

from pipeline.cli import app

# What answers otherwise, and why.
NO_DOCUMENT = {
    "run": "a worker: its log is JSON, its state is at /metrics",
    "demo": "a console that moves",
    "bench": "writes its results as JSON to the file that --results names",
    "completion": "a script for the shell",
    "serve": "answers over HTTP; its log is JSON",
    "token": "a token is a line, whoever reads it",
    "schema": "JSON Schema and AsyncAPI already; --output is the folder for them",
}


def commands(of: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, App]]:
    names = [name for name in of if not name.startswith("-")]
    for name in names:
        yield from commands(of[name], (*path, name))
    if of.default_command is not None and path:
        yield " ".join(path), of


def test_each_can_answer_in_json_or_says_why_not() -> None:
    without = {
        name
        for name, command in commands(app)
        if (function := command.default_command) is not None and "output" not in inspect.signature(function).parameters
    }
    assert without == NO_DOCUMENT.keys() - {"schema"}


def test_there_are_commands() -> None:
    """So that the walk above cannot pass by finding none."""
    found = {name for name, _ in commands(app)}
    assert {"run", "dlq redrive", "topics repartition", "stack up", "doctor", "pause org"} <= found
    assert len(found) >= 30
