"""/metrics, /livez and /readyz of a worker, answered by a thread: a blocked event loop must be told, not hidden."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.clock import Clock
from pipeline.errors import SettingsRefused
from pipeline.metrics import Metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_BEAT_SECONDS: Final = 0.5
# The heartbeats of the group run on the event loop: blocked for longer than this, the worker is a zombie.
_BLOCKED_SECONDS: Final = 10.0

log = structlog.get_logger()


class Health:
    """Is the process alive (its loop turns), and is it ready (a member whose lanes, if any, are claimed)?"""

    def __init__(self, metrics: Metrics, ready: Callable[[], bool], clock: Clock) -> None:
        self._metrics = metrics
        self._ready = ready
        self._clock = clock
        self._beat = clock.monotonic()

    @contextlib.asynccontextmanager
    async def serve(self, host: str, port: int) -> AsyncIterator[int]:
        """Answer until the block ends; yields the port. Raises SettingsRefused when the address is taken."""
        try:
            server = make_server(host, port, self._answer, _Server, _QuietHandler)
        except OSError as error:
            raise SettingsRefused(
                f"FOLIO_WORKER_METRICS_HOST and _PORT: cannot listen on {host}:{port}: {error.strerror}; choose another"
            ) from error
        thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
        thread.start()
        log.info("health served", host=host, port=server.server_port)
        beating = asyncio.create_task(self._beating())
        try:
            yield server.server_port
        finally:
            beating.cancel()
            server.shutdown()
            server.server_close()

    async def _beating(self) -> None:
        while True:
            self._beat = self._clock.monotonic()
            self._metrics.tasks.set(len(asyncio.all_tasks()))
            await asyncio.sleep(_BEAT_SECONDS)

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest(self._metrics.registry)]
        if path == "/livez":
            silent = self._clock.monotonic() - self._beat
            alive = silent < _BLOCKED_SECONDS
            return _json(start_response, alive, {"alive": alive, "loop_silent_seconds": round(silent, 1)})
        if path == "/readyz":
            ready = self._ready()
            return _json(start_response, ready, {"ready": ready})
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"try /metrics, /livez or /readyz\n"]


def _json(start_response: "StartResponse", good: bool, body: dict[str, object]) -> Iterable[bytes]:
    status = "200 OK" if good else "503 Service Unavailable"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Say nothing: probes come every few seconds."""
