"""`folio serve` as an operator starts it, a process of its own, and what its own pages tell."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bench.serve.issuing import OPERATOR, Issuer
from bench.target import Ground
from pipeline.stack.ports import HOST, choose

_READY_SECONDS_MAX: Final = 60.0
_STOP_SECONDS_MAX: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_LOG_LINES: Final = 12
# Before the workers and servers of the same cores, as the weight of its unit has it (deploy/systemd): it works for some
# hundred microseconds at a time, and somebody waits.
_NICE: Final = -10
_CAP_SYS_NICE: Final = 23
_TICK: Final = os.sysconf("SC_CLK_TCK")

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class ServerEndedError(Exception):
    """The server ended, or never answered; the message has the last lines of its log."""


@dataclass(slots=True)
class Server:
    """A running server. Started again, it is another process at the same address, with the same settings."""

    environment: Mapping[str, str]
    port: int
    log: Path
    issuer: Issuer
    _process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self) -> None:
        """Returns when it answers. Raises ServerEndedError."""
        self._spawn()
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while not await asyncio.to_thread(self._answers):
            self.require_alive()
            if time.monotonic() > deadline:
                raise ServerEndedError(f"the server did not answer for {_READY_SECONDS_MAX:g} s:\n{self.last_words}")
            await asyncio.sleep(_LOOK_SECONDS)

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "pipeline.cli", "serve"]
        with self.log.open("ab") as out:
            # A group of its own: Ctrl-C is for us, and we stop it.
            self._process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out, process_group=0)
        with suppress(PermissionError):  # of who is not root: `precedence` tells
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)

    def require_alive(self) -> None:
        """Raises ServerEndedError."""
        if self._process.poll() is not None:
            raise ServerEndedError(f"the server ended with {self._process.returncode}:\n{self.last_words}")

    @property
    def last_words(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])

    async def end(self, number: signal.Signals) -> int:
        """Have it end by a signal; its exit code."""
        self._process.send_signal(number)
        try:
            return await asyncio.to_thread(self._process.wait, _STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """In order; nothing where it has ended."""
        if self._process.poll() is None:
            await self.end(signal.SIGTERM)

    async def samples(self) -> Samples:
        """Its metrics now, by name and labels."""
        page = (await asyncio.to_thread(self._get, "/v1/system/metrics/prometheus")).decode()
        return {
            (each.name, frozenset(each.labels.items())): each.value
            for family in text_string_to_metric_families(page)
            for each in family.samples
        }

    async def realtime(self) -> dict[str, Any]:
        """What `/v2/realtime/metrics` says."""
        return msgspec.json.decode(await asyncio.to_thread(self._get, "/v2/realtime/metrics"), type=dict[str, Any])

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def memory_kib(self) -> dict[str, int]:
        """`Rss`, `Pss` and others, as the kernel rolls them up."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        return {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/livez", timeout=2):
                return True
        except (OSError, HTTPException):  # not listening yet: a connection may even meet itself
            return False

    def _get(self, path: str) -> bytes:
        token = self.issuer.token("operator", (), OPERATOR)
        asked = urllib.request.Request(f"http://{HOST}:{self.port}{path}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own server
            body: bytes = answer.read()
            return body


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric over everything that has these labels."""
    wanted = set(labels.items())
    return sum(value for (each, has), value in samples.items() if each == name and wanted <= has)


def precedence() -> str:
    """What a report must say of it."""
    capabilities = next(line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)
    if int(capabilities.split()[1], 16) >> _CAP_SYS_NICE & 1:
        return f"`folio serve` runs at nice {_NICE}, before the workers and servers that share its cores."
    return f"Missing: `folio serve` runs at nice {_NICE} only where the benchmark may set it (CAP_SYS_NICE)."


@asynccontextmanager
async def served(ground: Ground, issuer: Issuer, folder: Path, **overrides: str) -> AsyncIterator[Server]:
    """A server on the ground, stopped in order at the end of the block, in whatever way it has not ended yet.

    `overrides` name settings without FOLIO_. Raises ServerEndedError.
    """
    port = choose("folio serve", None, (), ())
    own = {
        **issuer.settings(folder),
        "API_PORT": str(port),
        "REALTIME_CURSOR_SECRETS": secrets.token_hex(32),
        "LOG_LEVEL": "warning",
    }
    server = Server(ground.environment(**(own | overrides)), port, folder / f"serve-{port}.log", issuer)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
