"""A server that is killed, and is back at the same address."""

import asyncio
import time
from typing import Final

import httpx

from pipeline.stack.ports import HOST, choose
from tests.api.issuing import AUDIENCE, ISSUER, Issuer
from tests.support.starting import Started
from tests.support.stream import Stream

_READY_SECONDS_MAX: Final = 20.0


class Server:
    def __init__(self, stream: Stream, issuer: Issuer) -> None:
        self._stream = stream
        self._port = choose("folio serve", None, (), ())
        self._environment = stream.environment(
            API_PORT=str(self._port),
            API_JWKS_PATH=str(issuer.publish(stream.folder / "keys.json")),
            API_TOKEN_ISSUER=ISSUER,
            API_TOKEN_AUDIENCE=AUDIENCE,
            REALTIME_CURSOR_SECRETS="s" * 32,
        )
        self._process: Started | None = None
        self.operator = issuer.token(roles=["operator"])

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def console(self) -> str:
        return f"{self.address}/console"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.operator}"}

    async def start(self) -> None:
        log = self._stream.folder / "serve.log"
        self._process = self._stream.start(["serve"], self._environment, log, log)
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while not await self._answers():
            assert self._process.exitcode is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            await asyncio.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None

    async def _answers(self) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{self.address}/livez")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
