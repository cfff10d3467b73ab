"""A connection of HTTP on which nobody may take for ever to say what he wants.

uvicorn bounds how long a connection idles between two requests, and nothing else: a head that comes byte by byte, or a
body that never ends, would hold a connection until its sender tires (Slowloris, CVE-2007-6750), and httptools takes a
head of any size. So each request has a bound on its head, in seconds and in bytes, and one on its body that grows with
what has come of it: a slow line is no reason to end anybody, standing still is.
"""

import asyncio
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pipeline.api.metrics import ApiMetrics
from pipeline.api.problems import MEDIA_TYPE, Problem
from pipeline.settings_serving import ApiSettings

# As servers take by default four times over: a token of the largest size is an eighth of it.
HEAD_BYTES_MAX: Final = 65_536
# The slowest line that is worked with: below, a body of 32 MB takes longer than half an hour.
_BODY_BYTES_PER_SECOND: Final = 16_384
# Of a body that was answered unread (too large, no token): what is still let in, lest the answer is lost on its way to
# who does not read before having sent everything.
_REST_SECONDS: Final = 2.0
_REST_BYTES_MAX: Final = 1 << 20
_LOOK_SECONDS: Final = 0.5
# A chunk of one byte has six on the wire. What else comes is told of chunks, or trailers, which are kept as headers.
_WIRE_BYTES_OF_A_BYTE: Final = 8


class _Part(Enum):
    HEAD = "head"
    BODY = "body"
    REST = "rest"


class PatientProtocol(HttpToolsProtocol):
    """One connection. Subclassed by `patient` with its bounds."""

    head_seconds: float
    body_seconds: float
    metrics: ApiMetrics

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._part = _Part.HEAD
        self._due: float | None = None  # by the loop's time; None: nothing is awaited
        self._received = 0  # of the part at hand
        self._around = 0  # on the wire since the head, the body and all
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the library
        super().connection_made(transport)
        self._await(_Part.HEAD, self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_looking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._due is not None and self._part is _Part.HEAD:
            self._received += len(data)
            if self._received > HEAD_BYTES_MAX:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has {HEAD_BYTES_MAX:,} bytes at most")
        elif self._due is not None:
            self._around += len(data)
            if self._around > HEAD_BYTES_MAX + _WIRE_BYTES_OF_A_BYTE * self._received:
                self._end_unheard()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await(_Part.HEAD, self.head_seconds)

    def on_headers_complete(self) -> None:
        self._await(_Part.BODY, self.body_seconds)
        self._around = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._received += len(body)
        if self._part is _Part.REST and self._received > _REST_BYTES_MAX:
            self.transport.close()

    def on_message_complete(self) -> None:
        self._due = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The last one: behind it another one may have been sent already.
        if self._due is not None and self._part is _Part.BODY and self.cycle.response_complete:
            self._await(_Part.REST, _REST_SECONDS)

    def handle_websocket_upgrade(self) -> None:
        """From here on the connection is another protocol's, and nothing of this one is kept."""
        self._stop_looking()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _await(self, part: _Part, seconds: float) -> None:
        self._part, self._due, self._received = part, self.loop.time() + seconds, 0
        if self._looking is None:  # one timer for many requests: most are over before it looks
            self._looking = self.loop.call_later(min(seconds, _LOOK_SECONDS), self._look)

    def _stop_looking(self) -> None:
        self._due = None
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look(self) -> None:
        self._looking = None
        if self._due is None or self.transport.is_closing():
            return
        now, due = self.loop.time(), self._due
        if self._part is _Part.BODY:
            due += self._received / _BODY_BYTES_PER_SECOND
            if self.flow.read_paused:  # it is us who do not take it
                due = self._due = now + self.body_seconds
        if now >= due:
            self._end()
        else:
            self._looking = self.loop.call_later(min(due - now, _LOOK_SECONDS), self._look)

    def _end(self) -> None:
        """Whoever has said nothing yet hears nothing either: browsers connect ahead of what they may ask."""
        silent = self._part is _Part.HEAD and not self._received
        if silent or self._part is _Part.REST or self._is_answering():
            self.transport.close()
            return
        self.metrics.refused.labels("slow").inc()
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the {self._part.value} of the request did not come in time")

    def _end_unheard(self) -> None:
        """The answer, if there is one, is on its way."""
        if self._part is _Part.REST or self._is_answering():
            self.transport.close()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "there is far more around the body than in it")

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """A problem document past the application, and the end of the connection."""
        self._due = None
        body = msgspec.json.encode(Problem(status.phrase, status, detail))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def patient(settings: ApiSettings, metrics: ApiMetrics) -> type[PatientProtocol]:
    """The class of connections with these bounds, as the server wants it."""

    class Bounded(PatientProtocol):
        head_seconds = settings.head_seconds
        body_seconds = settings.body_seconds

    Bounded.metrics = metrics
    return Bounded
