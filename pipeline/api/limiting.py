"""How many requests a second each one may make: by whose token it is, and without one by where it comes from.

A leaky bucket each, aiolimiter's; nobody waits for a turn, who is over is told when to come again. The table of buckets
is bounded: whoever was not heard of for long begins with an empty bucket, which his own would be by then.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

import msgspec
from aiolimiter import AsyncLimiter
from cachetools import LRUCache
from litestar.enums import ScopeType
from litestar.status_codes import HTTP_429_TOO_MANY_REQUESTS
from litestar.types import ASGIApp, Receive, Scope, Send, WebSocketScope

from pipeline.api.access import PRINCIPAL, token_in
from pipeline.api.metrics import ApiMetrics
from pipeline.api.origins import allowed_origin
from pipeline.api.problems import MEDIA_TYPE, Problem
from pipeline.api.tokens import Principal, TokenRefused, Tokens
from pipeline.settings_serving import ApiSettings

# Whoever watches over the process must not be told that it is unwell because others are many.
_EXEMPT: Final = frozenset({"/livez", "/readyz"})
_KINDS: Final = frozenset({ScopeType.HTTP, ScopeType.WEBSOCKET})
_TRY_AGAIN_LATER: Final = 1013  # registered for WebSockets with IANA
# A network hands its customer a /64 or more: each of its addresses would be a bucket.
_IPV6_PREFIX: Final = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second on average, and how many may come at once after a silence."""

    per_second: float
    burst: float

    @property
    def retry_after_seconds(self) -> int:
        return max(1, math.ceil(1 / self.per_second))


class Buckets:
    """One for each name, as far as they are remembered."""

    def __init__(self, rate: Rate, remembered_max: int) -> None:
        self.rate = rate
        self._period = rate.burst / rate.per_second
        self._buckets: LRUCache[str, AsyncLimiter] = LRUCache(remembered_max)

    async def take(self, name: str) -> bool:
        """Whether one more is within the rate; then it counts."""
        try:
            bucket = self._buckets[name]
        except KeyError:
            bucket = self._buckets[name] = AsyncLimiter(self.rate.burst, self._period)
        if not bucket.has_capacity():
            return False
        await bucket.acquire()  # at once: it only waits without capacity
        return True

    def has_room(self, name: str) -> bool:
        """Whether one more would be."""
        bucket = self._buckets.get(name)
        return bucket is None or bucket.has_capacity()


def limited(app: ASGIApp, settings: ApiSettings, tokens: Tokens, metrics: ApiMetrics) -> ASGIApp:
    """Around the application: it finds the token's holder already verified. A handshake is a request as any other."""
    remembered, origin = settings.rate_remembered_max, Addresses(settings.trusted_proxies)
    holders = Buckets(Rate(settings.rate_holder_per_second, settings.rate_holder_burst), remembered)
    addresses = Buckets(Rate(settings.rate_address_per_second, settings.rate_address_burst), remembered)
    over_rate, over_address_rate = metrics.refused.labels("rate"), metrics.refused.labels("address_rate")

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _KINDS or scope["path"] in _EXEMPT:
            await app(scope, receive, send)
            return
        principal = holder(scope)
        if principal is None:
            if not await addresses.take(origin.of(scope)):
                over_address_rate.inc()
                await _refuse(scope, send, settings, addresses.rate, "without a valid token from this address")
                return
        else:
            scope.setdefault("state", {})[PRINCIPAL] = principal
            if not await holders.take(principal.subject):
                over_rate.inc()
                await _refuse(scope, send, settings, holders.rate, "with this token's `sub`")
                return
        await app(scope, receive, send)

    def holder(scope: Scope) -> Principal | None:
        token = token_in(scope["headers"])
        if token is None:
            return None
        # One that was not seen before costs a signature: not for an address that has sent too many wrong ones.
        known = tokens.remembered(token)
        if known is not None or not addresses.has_room(origin.of(scope)):
            return known
        try:
            return tokens.principal(token)
        except TokenRefused:
            return None

    return handle


class Addresses:
    """Where requests come from: what the connection says, or what a proxy that is trusted says in its place."""

    def __init__(self, trusted_proxies: str | None) -> None:
        self._trusted = [ip_network(each) for each in trusted_proxies.split(",")] if trusted_proxies else []

    def of(self, scope: Scope) -> str:
        """The network of the nearest one that is no proxy of ours: whatever is said before it may be made up."""
        client = scope.get("client")
        host = client[0] if client else ""
        if self._trusted and self._is_trusted(host):
            said = (value for name, value in scope["headers"] if name == b"x-forwarded-for")
            way = [each.strip() for each in b",".join(said).decode("latin-1").split(",") if each.strip()]
            host = next((each for each in reversed(way) if not self._is_trusted(each)), host)
        return network_of(host) if ":" in host else host

    def _is_trusted(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def network_of(host: str) -> str:
    """The network whose addresses are one customer's; what is no address is its own."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> (128 - _IPV6_PREFIX) << (128 - _IPV6_PREFIX)))


async def _refuse(scope: Scope, send: Send, settings: ApiSettings, rate: Rate, whose: str) -> None:
    """A problem document, which a page that may ask can read too."""
    if scope["type"] == ScopeType.WEBSOCKET:
        await _refuse_socket(scope, send, f"more than {rate.per_second:g} requests a second {whose}")
        return
    told = (
        f"more than {rate.per_second:g} requests a second {whose}, {rate.burst:g} at once; "
        f"nothing was done. Ask again after {rate.retry_after_seconds} s, and more slowly"
    )
    problem = Problem("Too many requests", HTTP_429_TOO_MANY_REQUESTS, told, instance=scope["path"])
    body = msgspec.json.encode(problem)
    headers = {
        b"content-type": MEDIA_TYPE.encode(),
        b"content-length": str(len(body)).encode(),
        b"retry-after": str(rate.retry_after_seconds).encode(),
        b"cache-control": b"no-store",
        **_for_pages(scope, settings.cors_origins),
    }
    await send({"type": "http.response.start", "status": problem.status, "headers": list(headers.items())})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _refuse_socket(scope: WebSocketScope, send: Send, told: str) -> None:
    """By a close: of a handshake that was refused a browser tells its page nothing."""
    # One of those that were offered, or a browser takes it for a failure.
    spoken = next(iter(scope["subprotocols"]), None)
    await send({"type": "websocket.accept", "subprotocol": spoken, "headers": []})
    await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": told})


def _for_pages(scope: Scope, allowed: str | None) -> Mapping[bytes, bytes]:
    origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
    if origin is None or not allowed_origin(origin.decode("latin-1"), allowed, None):
        return {}
    return {
        b"access-control-allow-origin": origin,
        b"access-control-expose-headers": b"retry-after",
        b"vary": b"Origin",
    }
