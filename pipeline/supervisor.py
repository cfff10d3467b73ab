"""Several workers, one process each: started, started again when they crash, and stopped together."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType

import structlog

from pipeline.exits import EXIT_FATAL

# A worker that dies at once must not be restarted in a tight loop.
_RESTART_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.2

log = structlog.get_logger()


@dataclass(slots=True)
class _Child:
    number: int
    process: subprocess.Popen[bytes]
    started_at: float


class _Stopping:
    """Set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


def supervise(workers: int, metrics_port: int, grace_seconds: float) -> int:
    """Run `workers` processes until told to stop. A worker that ends with a Fatal error ends them all."""
    stopping = _Stopping()
    children = [_start(number, metrics_port) for number in range(workers)]
    status = 0
    while not stopping.requested and not status:
        time.sleep(_LOOK_SECONDS)
        for place, child in enumerate(children):
            status = status or _look_after(child, children, place, metrics_port)
    _stop(children, grace_seconds)
    return status


def _look_after(child: _Child, children: list[_Child], place: int, metrics_port: int) -> int:
    code = child.process.poll()
    if code is None:
        return 0
    if code == EXIT_FATAL:
        log.error("a worker stopped for good, stopping the others", worker=child.number)
        return code
    if time.monotonic() - child.started_at < _RESTART_PAUSE_SECONDS:
        return 0  # looked at again until the pause is over
    log.warning("a worker died, starting it again", worker=child.number, exit_code=code)
    children[place] = _start(child.number, metrics_port)
    return 0


def _start(number: int, metrics_port: int) -> _Child:
    environment = dict(os.environ)
    if metrics_port:
        environment["FOLIO_WORKER_METRICS_PORT"] = str(metrics_port + number)
    if name := environment.get("FOLIO_WORKER_NAME"):
        environment["FOLIO_WORKER_NAME"] = f"{name}-{number}"
    # The pipe ends with us, however we end: no worker goes on that nobody looks after.
    command = [sys.executable, "-m", "pipeline.cli", "run", "--workers", "1", "--until-stdin-ends"]
    # A group of its own: Ctrl-C in the terminal must reach the children through us, once.
    process = subprocess.Popen(command, env=environment, process_group=0, stdin=subprocess.PIPE)
    return _Child(number, process, time.monotonic())


def _stop(children: list[_Child], grace_seconds: float) -> None:
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + grace_seconds + 5
    for child in children:
        try:
            child.process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            log.error("a worker did not stop in time, killing it", worker=child.number)
            child.process.kill()
            child.process.wait()
