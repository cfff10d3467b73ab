"""The server of the application: opened with what it needs, answering until it is told to stop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from math import ceil
from typing import Final

import jwt
import uvicorn

from pipeline.api.application import application
from pipeline.api.assembly import assembled
from pipeline.api.connection import patient
from pipeline.api.development import development_keys
from pipeline.api.gate import gated
from pipeline.api.key_file import KeyFile
from pipeline.api.lean_socket import LeanSocket
from pipeline.api.metrics import ApiMetrics
from pipeline.api.publishing import Publishing
from pipeline.api.realtime.admission import Gateway
from pipeline.api.realtime.socket_messages import MESSAGE_BYTES_MAX
from pipeline.api.surrogate import Surrogates
from pipeline.api.tokens import Tokens, Trust, read_keys
from pipeline.cache.lifetimes import Lifetimes
from pipeline.clock import SystemClock
from pipeline.errors import SettingsRefused
from pipeline.settings import Settings
from pipeline.settings_serving import ApiSettings
from pipeline.stack import Endpoints

_BACKLOG: Final = 2_048
_SILENCE_MS_MAX: Final = 45_000
# Of the kernel, for each connection; it would take 4 MB for one whose client does not read. Over a way of 100 ms it is
# enough for 2.5 MB a second.
_SEND_BUFFER_BYTES: Final = 262_144
# Of the grace: for followers to be told. The rest is for what was asked.
_DRAIN_SHARE: Final = 0.2
# A client that sends nothing for so long has gone; what it held is needed.
_KEEP_ALIVE_SECONDS: Final = 30


def _of_a_follower_that_was_ended(record: logging.LogRecord) -> bool:
    """What the server says when a stream stops without an end, as one does that nobody reads; metrics count those."""
    return "without completing response" in record.getMessage()


class _Server(uvicorn.Server):
    """Leaves the process's signals to the command, which ends in order and with its own exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """A server that listens already; `run` answers until `stop`."""

    def __init__(
        self,
        server: uvicorn.Server,
        listener: socket.socket,
        gateway: Gateway,
        drain_seconds_max: float,
        publishing: Publishing,
    ) -> None:
        self._server = server
        self._listener = listener
        self._gateway = gateway
        self._drain_seconds_max = drain_seconds_max
        self._publishing = publishing
        self._told_to_stop = asyncio.Event()

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Answer until told to stop, and then what has been asked by then, within the grace.

        First who follows is sent to another process: the server waits for open connections, and theirs would be.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._end_in_order())
            await self._server.serve([self._listener])
            self.stop()  # it may have ended by itself

    def stop(self) -> None:
        self._told_to_stop.set()

    async def _end_in_order(self) -> None:
        await self._told_to_stop.wait()
        self._publishing.end_waiting()  # else the grace would end before their patience, without an answer
        await self._gateway.drained(self._drain_seconds_max)
        self._server.should_exit = True


@contextlib.asynccontextmanager
async def opened(settings: Settings, endpoints: Endpoints) -> AsyncIterator[Serving]:
    """A server and what it reads by. Raises SettingsRefused where its address is taken, or no key is there."""
    api = settings.api
    drain_seconds = api.shutdown_grace_seconds * _DRAIN_SHARE
    tokens = Tokens(Trust(_keys(settings), api.token_issuer, api.token_audience))
    async with assembled(settings, endpoints) as served:
        with _listening(api.host, api.port) as listener:
            config = uvicorn.Config(
                gated(application(api, served, tokens, _surrogates(settings)), api, tokens, served.metrics),
                log_config=None,
                log_level="warning",  # else each WebSocket is a line, with its address and what that holds
                access_log=False,
                server_header=False,
                proxy_headers=False,  # whose address counts is decided where it is looked at
                http=patient(api, served.metrics),
                ws=LeanSocket,
                ws_max_size=MESSAGE_BYTES_MAX,
                ws_per_message_deflate=False,  # 40 kB of memory a connection, for messages of 600 bytes
                ws_ping_interval=None,  # a heartbeat of ours finds out who has gone
                lifespan="on",
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=ceil(api.shutdown_grace_seconds - drain_seconds),
            )
            logging.getLogger("uvicorn.error").addFilter(lambda record: not _of_a_follower_that_was_ended(record))
            async with _rotating(api, tokens, served.metrics):
                yield Serving(_Server(config), listener, served.gateway, drain_seconds, served.publishing)


@contextlib.asynccontextmanager
async def _rotating(api: ApiSettings, tokens: Tokens, metrics: ApiMetrics) -> AsyncIterator[None]:
    """New keys are taken as long as the block runs. The local stack's own key is never another one."""
    if api.jwks_path is None:
        yield
        return
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(KeyFile(api.jwks_path, tokens, api.jwks_check_seconds, metrics).run())
        try:
            yield
        finally:
            looking.cancel()


def _surrogates(settings: Settings) -> Surrogates | None:
    """No purge, no surrogate: what nobody purges would be shown for as long as it lives."""
    if settings.cdn.purge_url is None:
        return None
    lives = Lifetimes(settings.cache.active_ttl_seconds, settings.cache.past_ttl_seconds)
    return Surrogates(lives, SystemClock())


def _keys(settings: Settings) -> Mapping[str, jwt.PyJWK]:
    """The local stack believes itself; whoever serves other books says whose tokens open them."""
    path = settings.api.jwks_path
    if path is None and settings.database.url is not None:
        raise SettingsRefused("FOLIO_API_JWKS_PATH must name the public keys of whoever issues tokens (JWKS, RFC 7517)")
    return read_keys(path) if path is not None else development_keys(settings.stack.dir)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsRefused(
            f"FOLIO_API_HOST and FOLIO_API_PORT: cannot listen on {host}:{port}: {error.strerror}; choose another"
        ) from error
    with listener:
        # Connections inherit it. Who acknowledges nothing for so long, or lets nothing be sent, has gone: without it a
        # client that never reads would hold its buffers for ever, also after we have closed.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS_MAX)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        yield listener
