"""What a CDN may keep of the read API: for how long, and under which tags it is purged (docs/decisions/0022).

To browsers each answer says `private, no-cache`. What a CDN is told instead is in headers that it takes off
(`Surrogate-Control`, `Surrogate-Key`: W3C Edge Architecture), and only on what stays right until it is purged or its
life ends: history, instants of the past, refusals and everything of operators have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.api.access import PRINCIPAL
from pipeline.api.tokens import Principal
from pipeline.cache.lifetimes import Lifetimes
from pipeline.cache.tags import tags_of_day, tags_of_range
from pipeline.clock import Clock

Headers = list[tuple[bytes, bytes]]
_OPTION: Final = "rests_on"


class RestsOn(StrEnum):
    """Which changes an answer has to be purged for."""

    ONE_DAY = "one day"
    SEVERAL_DAYS = "several days"
    A_DAY_AND_OTHERS = "a day and others"


# What a route says of itself (`opt`).
ON_ONE_DAY: Final = {_OPTION: RestsOn.ONE_DAY}
ON_SEVERAL_DAYS: Final = {_OPTION: RestsOn.SEVERAL_DAYS}
ON_A_DAY_AND_OTHERS: Final = {_OPTION: RestsOn.A_DAY_AND_OTHERS}


@dataclass(frozen=True, slots=True)
class About:
    """What an answer is about."""

    org_id: int
    property_id: int
    day: date | None
    rests_on: RestsOn


def surrogate_headers(about: About, principal: Principal, lifetimes: Lifetimes, now: datetime) -> Headers:
    """None where it would not live for a second. What keeps requests apart is said of every answer (`hardening.py`)."""
    life = min(life_seconds(about, lifetimes, now), int(principal.expires_at - now.timestamp()))
    if life <= 0:
        return []
    return [
        (b"surrogate-control", b"max-age=%d" % life),
        (b"surrogate-key", " ".join(tags_of(about)).encode()),
    ]


def life_seconds(about: About, lifetimes: Lifetimes, now: datetime) -> int:
    """A day lives as long as it does in our own caches. What rests on more than balances of it lives shortly.

    A transaction's text may change and no balance with it: no update tells of that, so nothing is purged.
    """
    if about.rests_on is RestsOn.ONE_DAY and about.day is not None:
        return lifetimes.of(about.day, now)
    return lifetimes.active_seconds


def tags_of(about: About) -> tuple[str, ...]:
    """By which it can be purged, the widest first."""
    of_range = tags_of_range(about.org_id, about.property_id)
    if about.day is None or about.rests_on is RestsOn.SEVERAL_DAYS:
        return of_range
    of_day = tags_of_day(about.org_id, about.property_id, about.day)
    return of_day if about.rests_on is RestsOn.ONE_DAY else (*of_range, of_day[-1])


def rests_on_others_too(scope: Scope) -> None:
    """An answer turned out to rest on other days than the one that it is about: it has to be purged with those."""
    scope["state"][_OPTION] = RestsOn.A_DAY_AND_OTHERS


class Surrogates:
    """A middleware for who has a CDN that is purged. It stands within `conditional`: a 304 says what a 200 would."""

    def __init__(self, lifetimes: Lifetimes, clock: Clock) -> None:
        self._lifetimes = lifetimes
        self._clock = clock

    def around(self, app: ASGIApp) -> ASGIApp:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            if not may_be_kept(scope):
                await app(scope, receive, send)
                return

            async def telling(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] == HTTP_200_OK:
                    message["headers"] = [*message["headers"], *self._of(scope)]
                await send(message)

            await app(scope, receive, telling)

        return handle

    def _of(self, scope: Scope) -> Headers:
        principal: Principal | None = scope["state"].get(PRINCIPAL)
        if principal is None:  # nobody asked whose it is: nobody may have it
            return []
        return surrogate_headers(about(scope), principal, self._lifetimes, self._clock.now())


def may_be_kept(scope: Any) -> bool:
    """Whether the route says what it rests on, and whoever is nearest may answer the request."""
    if scope["type"] != ScopeType.HTTP or _OPTION not in scope["route_handler"].opt:
        return False
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(b"folio-read", b"any") == b"any"


def about(scope: Any) -> About:
    """From the path, the route, and what its handler found."""
    path: Mapping[str, Any] = scope["path_params"]
    rests_on = scope["state"].get(_OPTION) or scope["route_handler"].opt[_OPTION]
    return About(path["org_id"], path["property_id"], path.get("day"), rests_on)
