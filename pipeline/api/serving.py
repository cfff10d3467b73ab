"""The server of the application: opened with what it needs, answering until it is told to stop."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import jwt
import uvicorn

from pipeline.api.application import Served, application
from pipeline.api.development import development_keys
from pipeline.api.idempotency import Idempotency
from pipeline.api.metrics import ApiMetrics
from pipeline.api.publishing import Publishing
from pipeline.api.reading import Books
from pipeline.api.system import Overseen
from pipeline.api.tokens import Tokens, Trust, read_keys
from pipeline.broker import servers_of
from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.errors import SettingsRefused
from pipeline.producer import new_producer
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.as_of import AsOf
from pipeline.storage.balances import Balances
from pipeline.storage.reading import Reads
from pipeline.storage.replicas.metrics import ReadMetrics
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.reports import Reports
from pipeline.storage.transactions import Transactions
from pipeline.translate import broker_errors
from schemas.codec import Rules
from schemas.topics import FINANCE_EVENTS

_BACKLOG: Final = 2_048
_REDIS_CONNECTIONS: Final = 64
# A client that sends nothing for so long has gone; what it held is needed.
_KEEP_ALIVE_SECONDS: Final = 30


class _Server(uvicorn.Server):
    """Leaves the process's signals to the command, which ends in order and with its own exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """A server that listens already; `run` answers until `stop`."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def run(self) -> None:
        """Answer until told to stop, and then what has been asked by then, within the grace."""
        await self._server.serve([self._listener])

    def stop(self) -> None:
        self._server.should_exit = True


@contextlib.asynccontextmanager
async def opened(settings: Settings, endpoints: Endpoints) -> AsyncIterator[Serving]:
    """A server and what it reads by. Raises SettingsRefused where its address is taken, or no key is there."""
    api = settings.api
    tokens = Tokens(Trust(_keys(settings), api.token_issuer, api.token_audience))
    metrics = ApiMetrics()
    redis = new_redis(endpoints.redis_url, settings.redis, _REDIS_CONNECTIONS)
    async with (
        contextlib.aclosing(redis),
        open_readers(settings, endpoints, metrics=ReadMetrics(metrics.registry)) as readers,
        _publishing(settings, endpoints) as publishing,
    ):
        reads = Reads(readers)
        served = Served(
            Books(Balances(reads), Reports(reads), Transactions(reads), AsOf(reads)),
            publishing,
            Idempotency(redis, SystemClock(), metrics),
            Overseen(readers, metrics.registry),
        )
        with _listening(api.host, api.port) as listener:
            config = uvicorn.Config(
                application(api, served, tokens),
                log_config=None,
                access_log=False,
                server_header=False,
                http="httptools",
                lifespan="on",
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(api.shutdown_grace_seconds),
            )
            yield Serving(_Server(config), listener)


@contextlib.asynccontextmanager
async def _publishing(settings: Settings, endpoints: Endpoints) -> AsyncIterator[Publishing]:
    producer = new_producer(endpoints.kafka_bootstrap, "folio-serve")
    try:
        with broker_errors(f"connecting to {servers_of(endpoints.kafka_bootstrap)}"):
            await producer.start()
        rules = Rules(past_max=settings.rules.past_max, future_max=settings.rules.future_max)
        yield Publishing(producer, settings.kafka.topic_prefix + FINANCE_EVENTS, rules, SystemClock())
    finally:
        await producer.abandon()  # whoever waits for an acknowledgement was answered by now


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
        yield listener
