"""The headers that tell a browser to make nothing more of an answer than it is: on every one, refusals too."""

from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

# A browser that meets an answer of ours by accident runs nothing of it, frames nothing, guesses no type, tells nobody
# where it was, shares no window with it, and lends it no device. What a route says itself counts.
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


_NAMES: Final = frozenset(name for name, _ in _HEADERS)
# What an answer depends on, of what a request says. The library's CORS says `Origin` in place of what was said before.
# Who asks for the primary must not get what was kept for who did not (docs/cache.md, "At a CDN").
_VARY: Final = ("Authorization", "Accept-Encoding", "Origin", "Folio-Read")


def hardened(app: ASGIApp, hsts_seconds: int) -> ASGIApp:
    """Around the application. `hsts_seconds`: 0 where it is not reached over TLS, else no browser would come back."""
    hsts = (b"strict-transport-security", f"max-age={hsts_seconds}; includeSubDomains".encode())
    added = (*_HEADERS, hsts) if hsts_seconds else _HEADERS
    varied: dict[bytes, bytes] = {}  # the few values that routes and the library say

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        async def harden(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                vary, said = b"", set[bytes]()
                for place, (name, value) in enumerate(headers):  # in small letters: the library sends no others
                    if name == b"vary":
                        vary = value
                        del headers[place]
                        break
                for name, _ in headers:
                    if name in _NAMES:
                        said.add(name)
                if vary not in varied:
                    varied[vary] = _with_vary(vary)
                headers += [each for each in added if each[0] not in said] if said else added
                headers.append((b"vary", varied[vary]))
                message["headers"] = headers
            await send(message)

        await app(scope, receive, harden if scope["type"] == ScopeType.HTTP else send)

    return handle


def _with_vary(said: bytes) -> bytes:
    own = [each for each in said.decode("latin-1").replace(" ", "").split(",") if each]
    known = {each.lower() for each in own}
    return ", ".join([*own, *(each for each in _VARY if each.lower() not in known)]).encode("latin-1")
