"""Processes that get ready, begin together when told to, and tell what they measured."""

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

_SECONDS_MAX: Final = 3_600.0  # a million events take minutes, on a busy machine several
_END_SECONDS_MAX: Final = 10.0


@dataclass(slots=True)
class Done:
    """What one process measured, from the word to the end of its work. CPU in seconds."""

    events: int = 0
    began: float = 0.0  # wall clock
    ended: float = 0.0
    cpu: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)  # of the process, by stage
    statements: dict[str, float] = field(default_factory=dict)  # of its backends, by statement
    backends: list[float] = field(default_factory=list)  # of each backend
    batches: int = 0


# (environment, groups of lanes, wait for the word) -> what was measured
Job = Callable[[dict[str, str], Sequence[Sequence[int]], Callable[[], None]], Done]


class CrewError(Exception):
    """A process of the crew failed."""


class Crew:
    """Processes at the same job, each with lanes of its own."""

    def __init__(self, members: "Sequence[tuple[SpawnProcess, Connection]]") -> None:
        self._members = members

    def wait_ready(self) -> None:
        """Until every process waits for the word. Raises CrewError."""
        for process, pipe in self._members:
            _received(process, pipe)

    def work(self) -> list[Done]:
        """Give the word, and wait for the end. Raises CrewError."""
        for _, pipe in self._members:
            pipe.send("go")
        found = [_received(process, pipe) for process, pipe in self._members]
        return [done for done in found if isinstance(done, Done)]


@contextmanager
def crew(job: Job, environment: dict[str, str], shares: Sequence[Sequence[Sequence[int]]]) -> Iterator[Crew]:
    """One process for each share: the groups of lanes that are its."""
    context = multiprocessing.get_context("spawn")
    members = []
    try:
        for groups in shares:
            ours, theirs = context.Pipe()
            process = context.Process(target=_member, args=(theirs, job, environment, groups), daemon=True)
            process.start()
            theirs.close()  # so that their end is seen as such
            members.append((process, ours))
        yield Crew(members)
    except BaseException:
        for process, _ in members:
            process.terminate()  # nobody wants to know any more what it measures
        raise
    finally:
        for process, pipe in members:
            pipe.close()
            process.join(_END_SECONDS_MAX)
            if process.is_alive():
                process.kill()
                process.join()


def _member(pipe: Connection, job: Job, environment: dict[str, str], groups: Sequence[Sequence[int]]) -> None:
    def wait() -> None:
        pipe.send("ready")
        pipe.recv()

    try:
        pipe.send(job(environment, groups, wait))
    except EOFError:  # nobody waits for us any more
        return
    except BaseException:
        pipe.send(CrewError(traceback.format_exc()))
        raise


def _received(process: SpawnProcess, pipe: Connection) -> object:
    if not pipe.poll(_SECONDS_MAX):
        raise CrewError(f"process {process.pid} did not answer for {_SECONDS_MAX:.0f} s")
    try:
        found: object = pipe.recv()
    except EOFError as error:
        process.join(_END_SECONDS_MAX)
        raise CrewError(f"process {process.pid} ended with {process.exitcode}") from error
    if isinstance(found, CrewError):
        raise found
    return found
