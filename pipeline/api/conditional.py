"""An entity tag on every answer to a GET, and no body for whoever has it already (RFC 9110, section 13)."""

import zlib
from hashlib import blake2b
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_TAG_BYTES: Final = 12
_OF_GZIP: Final = 16 + zlib.MAX_WBITS
# What a 304 must repeat of the answer that it stands for.
_KEPT: Final = frozenset(
    {b"cache-control", b"vary", b"etag", b"content-location", b"date", b"expires"}
    | {b"surrogate-control", b"surrogate-key"}
    # A browser takes its headers for those of what it has: another policy here would be that page's from now on.
    | {b"content-security-policy", b"cross-origin-opener-policy"}
)


def conditional(app: ASGIApp) -> ASGIApp:
    """A middleware. Answers that are streamed, or no 200, pass as they are."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] not in ("GET", "HEAD"):
            await app(scope, receive, send)
            return
        asked = dict(scope["headers"]).get(b"if-none-match", b"")
        await app(scope, receive, _Tagging(send, asked))

    return handle


class _Tagging:
    """Holds the head back until the body is known to be whole."""

    def __init__(self, send: Send, asked: bytes) -> None:
        self._send = send
        self._asked = asked
        self._head: Any = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTP_200_OK:
            self._head = message
            return
        head, self._head = self._head, None
        if head is None:
            await self._send(message)
            return
        if message["type"] != "http.response.body" or message.get("more_body"):
            await self._send(head)
            await self._send(message)
            return
        tag = b'"' + blake2b(_unpacked(head, message["body"]), digest_size=_TAG_BYTES).hexdigest().encode() + b'"'
        headers = [*head["headers"], (b"etag", b"W/" + tag)]  # weak: compressed or not, it is the same answer
        if _names(self._asked, tag):
            kept = [(name, value) for name, value in headers if name.lower() in _KEPT]
            head["status"], head["headers"], message["body"] = HTTP_304_NOT_MODIFIED, kept, b""
        else:
            head["headers"] = headers
        await self._send(head)
        await self._send(message)


def _unpacked(head: Any, body: bytes) -> bytes:
    """What was answered: packed, it has the second in its head in which it was packed, and would never be the same.

    Compressing is the innermost of all, whatever the order of middlewares; unpacking costs a fifth of it.
    """
    packed = (b"content-encoding", b"gzip") in head["headers"]
    return zlib.decompress(body, wbits=_OF_GZIP) if packed else body


def _names(asked: bytes, tag: bytes) -> bool:
    """Weak comparison: for whether a body is known it makes no difference."""
    tags = [each.strip().removeprefix(b"W/") for each in asked.split(b",")]
    return asked.strip() == b"*" or tag in tags
