"""Varnish as deploy/varnish/default.vcl sets it up: Debian's, as a process."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from pipeline.stack.ports import HOST

PROGRAM: Final = shutil.which("varnishd", path="/usr/sbin:/usr/bin:/usr/local/sbin")
HERE: Final = PROGRAM is not None and any(Path("/usr/lib").glob("**/varnish/vmods/libvmod_xkey.so"))
VCL: Final = Path(__file__).parents[2] / "deploy" / "varnish" / "default.vcl"
_START_SECONDS_MAX: Final = 20.0


class Varnish:
    """Started, killed and started again on the same port; what it kept is gone with it."""

    def __init__(self, folder: Path, port: int, backend: int) -> None:
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        vcl = VCL.read_text(encoding="utf-8")
        assert vcl.count('.port = "8080"') == 1
        (folder / "default.vcl").write_text(vcl.replace('.port = "8080"', f'.port = "{backend}"'), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        assert PROGRAM is not None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(PROGRAM, "-F", "-j", "none", "-f", str(self._folder / "default.vcl")),
                    *("-a", f"{HOST}:{self._port}", "-n", str(self._folder / "work"), "-s", "malloc,16m"),
                    *("-p", "thread_pools=1", "-p", "thread_pool_min=10", "-T", "none"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,  # it has a child that does the work
            )
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not _listens(self._port):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "Varnish does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    async def get(self, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """One request, on a connection of its own."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            return await client.get(path, headers=dict(headers))

    async def purge(self, tags: str, source: str = HOST) -> httpx.Response:
        """As an operator does by hand; `source` is the address that the request comes from."""
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=source)) as client:
            return await client.request("PURGE", self.url, headers={"Surrogate-Key": tags})

    async def until(self, path: str, headers: Mapping[str, str], seconds: float = 20, **wanted: object) -> float:
        """Ask until the answer holds what is wanted; returns how many seconds it took."""
        began = time.monotonic()
        while True:
            answer = await self.get(path, headers)
            if answer.status_code == httpx.codes.OK and wanted.items() <= answer.json().items():
                return time.monotonic() - began
            assert time.monotonic() < began + seconds, f"{wanted} not answered within {seconds} s: {answer.text}"
            await asyncio.sleep(0.05)


@contextmanager
def varnish(folder: Path, port: int, backend: int) -> Iterator[Varnish]:
    made = Varnish(folder, port, backend)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
