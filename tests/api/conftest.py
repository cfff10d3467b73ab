"""A real `folio serve` on a stream of its own."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.stack.ports import HOST, choose
from tests.api.issuing import AUDIENCE, ISSUER, Issuer
from tests.support.starting import Started
from tests.support.stream import Stream

Served = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Servers = Callable[..., AbstractAsyncContextManager["Server"]]
_READY_SECONDS_MAX = 20.0


@dataclass
class Server:
    """A process that listens, and a client of it."""

    port: int
    client: httpx.AsyncClient
    process: Started
    log: Path

    @property
    def socket_url(self) -> str:
        return f"ws://{HOST}:{self.port}/v2/realtime/ws"

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    async def ended(self) -> int:
        await asyncio.to_thread(self.process.join, 20)
        assert self.process.exitcode is not None, self.log.read_text()
        return self.process.exitcode


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def servers(stream: Stream, issuer: Issuer) -> Servers:
    """Each ends with its block, in whatever way the block has not ended it yet."""
    return servers_of(stream, issuer)


def servers_of(stream: Stream, issuer: Issuer) -> Servers:
    """The same for a stream of the test's own."""

    @asynccontextmanager
    async def serving(port: int = 0, **overrides: str) -> AsyncIterator[Server]:
        port = port or choose("folio serve", None, (), ())
        trust = {
            "API_JWKS_PATH": str(issuer.publish(stream.folder / "keys.json")),
            "API_TOKEN_ISSUER": ISSUER,
            "API_TOKEN_AUDIENCE": AUDIENCE,
            "REALTIME_CURSOR_SECRETS": "of-these-tests-alone-0123456789-abcdef",
        }
        log = stream.folder / f"serve-{port}.log"
        environment = stream.environment(API_PORT=str(port), **(trust | overrides))
        process = stream.start(["serve"], environment, log, log)
        try:
            async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=20) as client:
                deadline = time.monotonic() + _READY_SECONDS_MAX
                while not await _alive(client):
                    assert process.exitcode is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    await asyncio.sleep(0.05)
                yield Server(port, client, process, log)
        finally:
            process.kill()
            process.join()

    return serving


@pytest.fixture
def served(servers: Servers) -> Served:
    """Ends in order at the end of the block, with exit code 0."""

    @asynccontextmanager
    async def serving(**overrides: str) -> AsyncIterator[httpx.AsyncClient]:
        async with servers(**overrides) as server:
            yield server.client
            server.signal(signal.SIGTERM)
            assert await server.ended() == 0, server.log.read_text()

    return serving


async def _alive(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/livez")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
