"""What is held of the bodies of all requests together is bounded: each alone may be large, and any number may come.

Counted as it is handed to the application, and given back when the application is done with the request, in whatever
way: a publication that waits for its broker holds its body too. What is not handed on yet is the server's, which stops
reading a connection at 64 KiB.
"""

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send, WebSocketReceiveMessage

from pipeline.api.metrics import ApiMetrics
from pipeline.errors import Overloaded

# Their bodies mean nothing, and nobody keeps them: a follower who sends one would fill the bound for as long as he
# follows.
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Bodies:
    """Bytes of the bodies of a process."""

    def __init__(self, bytes_max: int, metrics: ApiMetrics) -> None:
        self._bytes_max = bytes_max
        self._held = 0
        self._refused = metrics.refused.labels("bodies")
        metrics.bodies_bytes.set_function(lambda: self._held)

    def take(self, length: int) -> None:
        """Raises Overloaded."""
        if self._held + length > self._bytes_max:
            self._refused.inc()
            raise Overloaded(
                f"the bodies of the requests at hand have {self._bytes_max:,} bytes, which is as much as may be held; "
                "nothing was done. Send it again, or less at once"
            )
        self._held += length

    def give_back(self, length: int) -> None:
        self._held -= length


class _Counting:
    """Passes a request's body on while there is room for it."""

    __slots__ = ("_bodies", "_receive", "taken")

    def __init__(self, receive: Receive, bodies: Bodies) -> None:
        self._receive = receive
        self._bodies = bodies
        self.taken = 0

    async def __call__(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        message = await self._receive()
        if message["type"] == "http.request":
            length = len(message["body"])
            self._bodies.take(length)
            self.taken += length
        return message


def bounded(app: ASGIApp, bytes_max: int, metrics: ApiMetrics) -> ASGIApp:
    """Around the application, which answers the refusal as any other one."""
    bodies = Bodies(bytes_max, metrics)

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] in _BODILESS:
            await app(scope, receive, send)
            return
        counting = _Counting(receive, bodies)
        try:
            await app(scope, counting, send)
        finally:
            bodies.give_back(counting.taken)

    return handle
