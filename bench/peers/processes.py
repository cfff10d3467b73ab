"""The processes of one peer: started, watched, stopped in order or killed."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.peers.arguments import FIRST_FETCH
from bench.peers.catalogue import Peer
from bench.peers.environments import ROOT

_STOP_SECONDS_MAX: Final = 15.0
_LOG_LINES: Final = 8


class PeerEndedError(Exception):
    """A peer ended by itself before its work was done."""


@dataclass(slots=True)
class Processes:
    """As many as the peer has, each with a log and a folder of its own."""

    peer: Peer
    command: Sequence[str]  # without what tells one process from another
    database_url: str
    folder: Path
    running: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def pids(self) -> tuple[int, ...]:
        """Their ids now."""
        return tuple(process.pid for process in self.running)

    def start(self) -> None:
        """Start all of them; their state is what the last ones left."""
        environment = os.environ | {"PEER_DATABASE_URL": self.database_url, "PYTHONUNBUFFERED": "1"}
        for number in range(self.peer.processes):
            own = ("--process", str(number), "--processes", str(self.peer.processes))
            state = ("--state-dir", str(self.folder / f"state-{number}"))
            with self._log(number).open("ab") as output:
                process = subprocess.Popen(
                    (*self.command, *own, *state),
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,  # Ctrl-C is for us, and we stop them
                )
            self.running.append(process)

    def kill(self) -> None:
        """SIGKILL, all at once."""
        for process in self.running:
            process.kill()
        for process in self.running:
            process.wait()
        self.running.clear()

    def stop(self) -> None:
        """SIGTERM; what does not end soon is killed."""
        for process in self.running:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        for process in self.running:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def require_alive(self) -> None:
        """Raises PeerEndedError, with the last lines of its log."""
        for number, process in enumerate(self.running):
            if process.poll() is not None:
                lines = self._log(number).read_text(errors="replace").splitlines()[-_LOG_LINES:]
                raise PeerEndedError(f"ended with {process.returncode}: " + " | ".join(lines))

    def first_fetch(self) -> float | None:
        """When the first of them had its first records, in seconds of the wall clock; None while none had."""
        logs = [self._log(number) for number in range(self.peer.processes)]
        told = [told_at(log.read_text(errors="replace")) for log in logs if log.exists()]
        return min((at for at in told if at is not None), default=None)

    def _log(self, number: int) -> Path:
        return self.folder / f"log-{number}"


def told_at(log: str) -> float | None:
    """The moment of the first fetch that a program's output tells, if it does yet."""
    for line in log.splitlines(keepends=True):
        if line.startswith(FIRST_FETCH) and line.endswith("\n"):
            return int(line.removeprefix(FIRST_FETCH)) / 1000
    return None


@contextmanager
def running(processes: Processes) -> Iterator[Processes]:
    """Started; nothing of them lives on after the block."""
    try:
        processes.start()
        yield processes
    finally:
        processes.stop()
