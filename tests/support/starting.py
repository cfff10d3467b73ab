"""Commands as processes: started by an interpreter of their own, as a shell does, or by one that has loaded them.

Loading is most of what a short command costs, and tests start hundreds. One that is forked is a process of its own all
the same, with its own environment, output and group, and is killed and ends like any other. It differs in four ways,
and where one of them matters a test has its commands spawned: those of a run share a hash seed, and so the order of
sets; nothing runs at the interpreter's end; what was loaded is never collected; and /proc shows what the process was
started with that forked it.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from unittest import mock

import pipeline
from pipeline.cli import main
from pipeline.clock import SystemClock

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_COMMANDS: Final = (
    "run",
    "dlq",
    "freshness",
    "partitions",
    "pausing",
    "positions",
    "properties",
    "status",
    "topics",
    "verify",
)
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, *(f"pipeline.cli.{command}" for command in _COMMANDS)])


class Started(Protocol):
    """A process, as multiprocessing has it."""

    @property
    def pid(self) -> int | None: ...

    @property
    def exitcode(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        ...

    def join(self, timeout: float | None = None) -> None: ...

    def kill(self) -> None: ...


# With these arguments of `folio`, exactly this environment, and files for output and errors; in the repository, in a
# group of its own.
Start = Callable[[list[str], Mapping[str, str], Path, Path], Started]


def forked(arguments: list[str], environment: Mapping[str, str], output: Path, errors: Path) -> Started:
    """By a process that has loaded the commands."""
    process = _CONTEXT.Process(target=_become, args=(arguments, dict(environment), output, errors))
    # What forks is started with the first of them, and finds by its own path what it loads.
    with mock.patch.dict(os.environ, PYTHONPATH=str(REPOSITORY)):
        process.start()
    return process


def forked_at(now: datetime) -> Start:
    """As `forked`, for a command that is told another time: its clock goes on from there."""

    def start(arguments: list[str], environment: Mapping[str, str], output: Path, errors: Path) -> Started:
        process = _CONTEXT.Process(target=_become_at, args=(now, arguments, dict(environment), output, errors))
        with mock.patch.dict(os.environ, PYTHONPATH=str(REPOSITORY)):
            process.start()
        return process

    return start


def _become_at(now: datetime, arguments: list[str], environment: dict[str, str], output: Path, errors: Path) -> None:
    began = time.monotonic()

    def moved(_clock: SystemClock) -> datetime:
        return now + timedelta(seconds=time.monotonic() - began)

    with mock.patch.object(SystemClock, "now", moved):
        _become(arguments, environment, output, errors)


def _become(arguments: list[str], environment: dict[str, str], output: Path, errors: Path) -> None:
    os.setpgid(0, 0)
    gc.freeze()  # what is loaded stays: the collector would walk all of it, and so copy the pages that processes share
    os.chdir(REPOSITORY)
    for path, descriptor in ((output, 1), (errors, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["folio", *arguments]
    loaded_from = Path(pipeline.__file__ or "").parent
    assert loaded_from == REPOSITORY / "pipeline", f"loaded from {loaded_from}: another tree than the one under test"
    main()


def spawned(arguments: list[str], environment: Mapping[str, str], output: Path, errors: Path) -> Started:
    """By an interpreter of its own."""
    return _Spawned(arguments, environment, output, errors)


class _Spawned:
    def __init__(self, arguments: list[str], environment: Mapping[str, str], output: Path, errors: Path) -> None:
        command = [sys.executable, "-m", "pipeline.cli", *arguments]
        with output.open("ab") as out, errors.open("ab") as err:
            self._process = subprocess.Popen(
                command, env=dict(environment), cwd=REPOSITORY, stdout=out, stderr=err, process_group=0
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def join(self, timeout: float | None = None) -> None:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> None:
        self._process.kill()
