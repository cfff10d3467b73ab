"""A real `folio serve` on a stream of its own."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from pipeline.stack.ports import HOST, choose
from tests.api.issuing import AUDIENCE, ISSUER, Issuer
from tests.support.stream import Stream

Served = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
_READY_SECONDS_MAX = 20.0


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def served(stream: Stream, issuer: Issuer) -> Served:
    """Ends in order at the end of the block, with exit code 0."""

    @asynccontextmanager
    async def serving(**overrides: str) -> AsyncIterator[httpx.AsyncClient]:
        port = choose("folio serve", None, (), ())
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
                yield client
            assert process.pid is not None
            os.kill(process.pid, signal.SIGTERM)
            await asyncio.to_thread(process.join, 20)
            assert process.exitcode == 0, log.read_text()
        finally:
            process.kill()
            process.join()

    return serving


async def _alive(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/livez")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
