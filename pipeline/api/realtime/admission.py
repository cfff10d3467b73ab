"""Who is let in to follow an organisation, and for how long: the token, the caps, the cursor, and the way out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Final

from pipeline.api.tokens import Principal, Role, TokenRefused
from pipeline.errors import Overloaded, ReadRefused
from pipeline.realtime.caps import Caps
from pipeline.realtime.cursor import Cursor, CursorRefusal, Cursors
from pipeline.realtime.hub import Hub
from pipeline.realtime.messages import CloseReason, Filters, Refusal, ResyncReason
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.realtime.subscription import Subscriber, Subscription
from pipeline.realtime.telling import Telling
from pipeline.resilience.guard import Guard
from pipeline.settings_serving import RealtimeSettings
from pipeline.storage.primary import DaysWanted, PrimaryBalances, PrimaryDays

# Of a property list: a hotel group of a thousand asks for all of them.
PROPERTIES_MAX: Final = 1_000

_TURN_SECONDS: Final = 2.0  # shorter than any heartbeat by far: whoever stands in line is not silent for long

Credential = Callable[[], Principal]  # who asks, asked again and again; raises TokenRefused

_TOLD: Final = {
    Refusal.NOT_READY: "this process has not begun to read updates yet: ask again",
    Refusal.DRAINING: "this process is about to end: ask again, another one answers",
    Refusal.USER_FULL: "this user has as many subscriptions as one may have: end one of them",
    Refusal.ORG_FULL: "the organisation has as many subscriptions as it may have: end one of them",
    Refusal.PROCESS_FULL: "this process has as many subscribers as it can serve: ask again, or another one",
}


class Refused(Exception):
    """Nobody is taken now; the message says what to do."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(_TOLD[reason])
        self.reason = reason


class Full(Refused):
    """The user, or the organisation, has as many as it may have."""


def _refused(reason: Refusal) -> Refused:
    return (Full if reason in {Refusal.USER_FULL, Refusal.ORG_FULL} else Refused)(reason)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, and from where on; checked."""

    org_id: int
    filters: Filters
    cursor: Cursor | CursorRefusal | None


@dataclass(slots=True)
class Gateway:
    """What the realtime routes work with."""

    hub: Hub
    caps: Caps
    cursors: Cursors
    primary: PrimaryBalances
    database: Guard
    settings: RealtimeSettings
    metrics: RealtimeMetrics
    _streams: set[object] = field(default_factory=set)
    _one_ended: asyncio.Event = field(default_factory=asyncio.Event)
    _snapshots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._snapshots = asyncio.Semaphore(self.settings.snapshots_at_once)

    def wanted(
        self, org_id: int, properties: frozenset[int], first: date | None, last: date | None, cursor: str | None
    ) -> Wanted:
        """Raises ReadRefused for what nobody can follow."""
        if len(properties) > PROPERTIES_MAX:
            raise ReadRefused(f"{len(properties)} properties are asked for, {PROPERTIES_MAX:,} at most: leave them out")
        if first is not None and last is not None and first > last:
            raise ReadRefused(f"`first` ({first}) must not be after `last` ({last})")
        place = None if cursor is None else self.cursors.decode(cursor, org_id)
        if place is CursorRefusal.MALFORMED:
            raise ReadRefused("the cursor is none that was given here: leave it out, and begin with a snapshot")
        return Wanted(org_id, Filters(properties, first, last), place)

    @asynccontextmanager
    async def following(self, credential: Credential, wanted: Wanted) -> AsyncIterator[Telling]:
        """A stream for as long as the block runs, counted over all processes. Raises Refused, TokenRefused."""
        async with self.caps.places(_subscriber(credential, wanted)) as refusal:
            if refusal is not None:
                self.metrics.refused.labels(refusal.value).inc()
                raise _refused(refusal)
            with self.looking(credential, wanted) as telling:
                self._streams.add(telling)
                try:
                    yield telling
                finally:
                    self._streams.discard(telling)
                    self._one_ended.set()

    @contextmanager
    def looking(self, credential: Credential, wanted: Wanted) -> Iterator[Telling]:
        """The same for a moment, which only this process counts. Raises Refused, TokenRefused."""
        joined = self._subscribed(_subscriber(credential, wanted), wanted)
        try:
            yield Telling(
                joined,
                self.cursors,
                partial(self._read, wanted),
                partial(permission, credential, wanted.org_id),
                self.settings.heartbeat_seconds,
            )
        finally:
            joined.close(CloseReason.LEFT)

    async def drained(self, seconds: float) -> None:
        """Send everybody away, and wait until they were told, for so long at most."""
        self.hub.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._streams:
                    self._one_ended.clear()
                    await self._one_ended.wait()

    def _subscribed(self, who: Subscriber, wanted: Wanted) -> Subscription:
        known = wanted.cursor if isinstance(wanted.cursor, Cursor) else None
        joined = self.hub.subscribe(who, wanted.filters, known)
        if isinstance(joined, Refusal):
            raise _refused(joined)
        # Signed with a secret that is accepted no more, or somebody else's: it begins anew, and is told why.
        if wanted.cursor is not None and known is None:
            joined.tell_resync(ResyncReason.CURSOR_FOREIGN)
        return joined

    async def _read(self, wanted: Wanted) -> PrimaryDays:
        filters = wanted.filters
        days = DaysWanted(sorted(filters.properties) or None, filters.first, filters.last)
        most = self.settings.snapshot_days_max
        # In turn before the guard: whoever reads a balance meanwhile finds a place there.
        async with self._turn():
            return await self.database.call(lambda: self.primary.of_org(wanted.org_id, days, most))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises Overloaded, after which a follower hears that we are still there, and stands in line again."""
        try:
            async with asyncio.timeout(_TURN_SECONDS):
                await self._snapshots.acquire()
        except TimeoutError:
            most = self.settings.snapshots_at_once
            raise Overloaded(f"{most} snapshots are read at once, and none ended within {_TURN_SECONDS:g} s") from None
        try:
            yield
        finally:
            self._snapshots.release()


def _subscriber(credential: Credential, wanted: Wanted) -> Subscriber:
    return Subscriber(wanted.org_id, credential().subject)


def may_follow(principal: Principal, org_id: int) -> bool:
    return principal.may_see(org_id) and principal.has(Role.READER)


def permission(credential: Credential, org_id: int) -> CloseReason | None:
    """Why a stream must end now, if it must."""
    try:
        principal = credential()
    except TokenRefused:
        return CloseReason.TOKEN_EXPIRED
    return None if may_follow(principal, org_id) else CloseReason.FORBIDDEN
