"""`folio serve` beside the workers of the demo: the console, and balances to curl."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Final

from pipeline.errors import Stalled
from pipeline.settings import Settings
from pipeline.stack.ports import HOST, choose

_LOOK_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 60.0


class DemoServer:
    """A server that runs, or is about to."""

    def __init__(self, process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
        self._process = process
        self._log = log
        self.address = address

    async def wait_until_ready(self) -> None:
        """It answers. Raises Stalled when that does not come about."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not await asyncio.to_thread(self._answers):
            if self._process.poll() is not None:
                raise Stalled(f"the server ended with exit code {self._process.returncode}; see {self._log}")
            if time.monotonic() > deadline:
                raise Stalled(f"the server does not answer after {_PATIENCE_SECONDS:.0f} s; see {self._log}")
            await asyncio.sleep(_LOOK_SECONDS)

    def curl_of(self, org_id: int, property_id: int, day: str) -> str:
        """A command that prints a balance."""
        token = f'"Authorization: Bearer $({_folio()} token --org {org_id})"'
        return f"curl -H {token} {self.address}/v1/orgs/{org_id}/properties/{property_id}/balances/{day}"

    def curl_of_stream(self, org_id: int) -> str:
        """A command that prints changes of balances as they come."""
        token = f'"Authorization: Bearer $({_folio()} token --org {org_id})"'
        return f"curl -N -H {token} '{self.address}/v2/realtime/stream?org_id={org_id}'"

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/livez", timeout=2):  # noqa: S310  # our own address
                return True
        except (OSError, HTTPException):  # not listening yet: a connection may even meet itself
            return False


def _folio() -> str:
    """The program that runs, as a shell would be told."""
    started = Path(sys.argv[0])
    return shlex.quote(str(started)) if started.name == "folio" else f"{shlex.quote(sys.executable)} -m pipeline.cli"


@contextmanager
def running_server(settings: Settings, log: Path) -> Iterator[DemoServer]:
    """As an operator would start it, at its usual port or a free one; stopped in order at the end of the block."""
    port = choose("folio serve", None, [settings.api.port] if settings.api.port else [], ())
    environment = os.environ | {
        "FOLIO_STACK_DIR": str(settings.stack.dir),
        "FOLIO_API_HOST": HOST,
        "FOLIO_API_PORT": str(port),
    }
    with log.open("ab") as output:
        # A group of its own: Ctrl-C ends the trickle first, and this after it.
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "serve"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=output,
            process_group=0,
        )
    try:
        yield DemoServer(process, f"http://{HOST}:{port}", log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(settings.api.shutdown_grace_seconds + 10)
