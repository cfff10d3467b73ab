"""Every request counted and timed by its route, whatever became of it."""

from typing import Any, Final

from litestar.enums import ScopeType
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from pipeline.api.metrics import ApiMetrics
from pipeline.clock import Clock

# Of what no route was found for: paths are the client's choice, and would be labels without end.
_NO_ROUTE: Final = "none"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_UNANSWERED: Final = 0


def measured(app: ASGIApp, metrics: ApiMetrics, clock: Clock) -> ASGIApp:
    """Around the application. A metric's labels are looked up once for each combination that occurs."""
    counters: dict[tuple[str, str, int], Counter] = {}
    histograms: dict[str, Histogram] = {}

    def count(scope: Scope, status: int, began: float) -> None:
        if status == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
            metrics.refused.labels("too_large").inc()
        route, method = scope.get("path_template") or _NO_ROUTE, str(scope.get("method"))
        key = route, method, status // 100
        counter = counters.get(key)
        if counter is None:
            counter = counters[key] = _counter(metrics, *key)
        counter.inc()
        histogram = histograms.get(route)
        if histogram is None:
            histogram = histograms[route] = metrics.request_seconds.labels(route)
        histogram.observe(clock.monotonic() - began)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        began, noting = clock.monotonic(), _Noting(send)
        try:
            await app(scope, receive, noting)
        finally:
            count(scope, noting.status, began)

    return handle


def _counter(metrics: ApiMetrics, route: str, method: str, hundreds: int) -> Counter:
    status = f"{hundreds}xx" if hundreds != _UNANSWERED else "none"
    return metrics.requests.labels(route, method if method in _METHODS else "other", status)


class _Noting:
    """Passes an answer on, and keeps its status."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = _UNANSWERED

    async def __call__(self, message: Message) -> Any:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
