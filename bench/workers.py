"""Worker processes as an operator starts them, and what their own pages tell."""

import asyncio
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.target import Ground
from pipeline.stack.ports import free_neighbours

_STOP_SECONDS_MAX: Final = 40.0
_LOG_LINES: Final = 12


class BatchStatistics(msgspec.Struct, frozen=True):
    """Transactions of all workers so far, and what went wrong with them."""

    batches: int
    rows: int
    commit_seconds: float
    failed_attempts: int = 0  # at any step of a batch; each was tried again
    rejoins: int = 0  # times that a worker left the group in trouble and came back

    @property
    def rows_mean(self) -> float:
        return self.rows / self.batches if self.batches else 0.0


class WorkersEndedError(Exception):
    """The workers ended before their work was done."""


class Workers:
    """Running workers."""

    def __init__(self, process: "subprocess.Popen[bytes]", ports: list[int], log: Path) -> None:
        self._process = process
        self._ports = ports
        self._log = log

    @property
    def pid(self) -> int:
        """The root of their processes."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last lines of their log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    def require_alive(self) -> None:
        """Raises WorkersEndedError, with the last lines of their log."""
        if self._process.poll() is not None:
            raise WorkersEndedError(f"the workers ended with {self._process.returncode}:\n{self.last_words}")

    async def statistics(self) -> BatchStatistics:
        """Read from the pages of all workers."""
        pages = [await asyncio.to_thread(_page, port) for port in self._ports]
        found: dict[str, float] = {}
        for page in pages:
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return BatchStatistics(
            batches=round(found.get("folio_batch_rows_count", 0)),
            rows=round(found.get("folio_batch_rows_sum", 0)),
            commit_seconds=found.get("folio_commit_seconds_sum", 0.0),
            failed_attempts=round(found.get("folio_failed_attempts_total", 0)),
            rejoins=round(found.get("folio_rejoins_total", 0)),
        )


@contextmanager
def running_workers(ground: Ground, workers: int, log: Path, **overrides: str) -> Iterator[Workers]:
    """`folio run --workers N` on the ground; stopped in order at the end of the block."""
    port = free_neighbours(workers)
    environment = ground.environment(WORKER_METRICS_PORT=str(port), LOG_LEVEL="warning", **overrides)
    command = [sys.executable, "-m", "pipeline.cli", "run", "--workers", str(workers)]
    with log.open("ab") as output:
        # A group of its own: Ctrl-C is for us, and we stop the workers.
        process = subprocess.Popen(command, env=environment, stderr=output, process_group=0)
    try:
        yield Workers(process, [port + number for number in range(workers)], log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()  # its workers end with it: they watch its pipe
            process.wait()


def _page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()
    except OSError:
        return ""
