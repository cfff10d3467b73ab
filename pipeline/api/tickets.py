"""One-use tickets for browsers: EventSource and WebSocket take no header, and a token in an address would be kept.

An address is written to logs, histories and referrers; a ticket that is found there is spent. It stands for its holder
for thirty seconds, and is redeemed once, by whichever process meets it: Redis takes it out as it reads it (GETDEL).
What is kept there opens nothing: it is under the ticket's hash.
"""

import secrets
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.status_codes import HTTP_201_CREATED
from redis.asyncio import Redis

from pipeline.api.access import principal_of
from pipeline.api.metrics import ApiMetrics
from pipeline.api.problems import documented
from pipeline.api.tokens import Principal, Role, TokenRefused
from pipeline.cache.errors import cache_errors
from pipeline.resilience.guard import Guard

# From the answer that brings it to the request that uses it: a page does both at once.
TICKET_SECONDS: Final = 30
_RANDOM_BYTES: Final = 32
TICKET_CHARS: Final = len(secrets.token_urlsafe(_RANDOM_BYTES))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a page puts into an address, as `ticket`."""

    ticket: str
    expires_in_seconds: int


class _Claims(msgspec.Struct, frozen=True, array_like=True):
    """What stands under a ticket."""

    subject: str
    orgs: list[int]
    roles: list[Role]
    expires_at: float
    key_id: str = ""  # processes of the former release say none: such a ticket opens nothing


class Tickets:
    """Tickets of all processes, in Redis."""

    def __init__(self, redis: Redis, guard: Guard, metrics: ApiMetrics) -> None:
        self._redis = redis
        self._guard = guard
        self._metrics = metrics

    async def issue(self, principal: Principal) -> Ticket:
        """One for a holder of a token, and for no longer than that. Raises CacheUnavailable, NotAsked."""
        text = secrets.token_urlsafe(_RANDOM_BYTES)
        seconds = min(TICKET_SECONDS, max(1, int(principal.expires_at - time.time())))
        orgs, roles = sorted(principal.orgs), sorted(principal.roles)
        claims = _Claims(principal.subject, orgs, roles, principal.expires_at, principal.key_id)

        async def keep() -> None:
            with cache_errors("keeping a ticket"):
                # Another attempt keeps the same one: nobody has heard of it yet.
                await self._redis.set(_name(text), msgspec.msgpack.encode(claims), ex=seconds)

        await self._guard.call(keep)
        self._metrics.tickets.labels("issued").inc()
        return Ticket(text, seconds)

    async def redeem(self, text: str) -> Principal:
        """Whose it is; from now on it is nobody's. Raises TokenRefused, and CacheUnavailable or NotAsked.

        After CacheUnavailable it may be spent: whoever cannot be told so asks for another one.
        """

        async def take() -> bytes | None:
            with cache_errors("redeeming a ticket"):
                found = await self._redis.getdel(_name(text))
            assert found is None or isinstance(found, bytes), "the client decodes nothing"
            return found

        # Never twice: a first attempt whose answer was lost has spent it.
        found = await self._guard.call_once(take) if len(text) == TICKET_CHARS else None
        principal = _principal(found) if found is not None else None
        if principal is None or principal.expired:
            self._metrics.tickets.labels("refused").inc()
            raise TokenRefused("the ticket was used before, has expired, or was never issued: ask for a new one")
        self._metrics.tickets.labels("redeemed").inc()
        return principal


def _name(text: str) -> str:
    return f"folio:ticket:{blake2b(text.encode(), digest_size=32).hexdigest()}"


def _principal(found: bytes) -> Principal:
    claims = msgspec.msgpack.decode(found, type=_Claims)
    return Principal(claims.subject, frozenset(claims.orgs), frozenset(claims.roles), claims.expires_at, claims.key_id)


@post(
    "/v2/realtime/tickets",
    status_code=HTTP_201_CREATED,
    responses={
        HTTP_201_CREATED: ResponseSpec(Ticket, generate_examples=False, description="A ticket"),
        **documented(401, 429, 503),
    },
    tags=["Realtime"],
    summary="A one-use ticket, for browsers",
)
async def issue_ticket(request: Request[Any, Any, Any], tickets: NamedDependency[Tickets]) -> Response[Ticket]:
    """EventSource and WebSocket send no token: they take this as `?ticket=`, once, within its time."""
    ticket = await tickets.issue(principal_of(request))
    return Response(ticket, status_code=HTTP_201_CREATED, headers={"Cache-Control": "no-store"})
