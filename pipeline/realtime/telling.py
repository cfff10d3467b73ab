"""What one subscriber is told, from `subscribed` to the end: values in their order, whoever writes them down."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from pipeline.errors import DatabaseUnavailable, Transient
from pipeline.realtime.cursor import Cursors
from pipeline.realtime.messages import CloseReason, Delivery, Resync, ResyncReason
from pipeline.realtime.subscription import Subscription
from pipeline.storage.primary import PrimaryDays
from pipeline.storage.values import Balance

log = structlog.get_logger()

# A page of a snapshot has about 170 kB: between two of them others are written to.
_PAGE_DAYS: Final = 500
_AGAIN_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From now on nothing of the organisation is missed."""

    org_id: int
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """Days as the primary has them. The first page replaces what was held; the last one has the cursor."""

    epoch: str
    balances: Sequence[Balance]
    cursor: str | None

    @property
    def last(self) -> bool:
        return self.cursor is not None


@dataclass(frozen=True, slots=True)
class Update:
    """The newest state of a day."""

    delivery: Delivery
    cursor: str


@dataclass(frozen=True, slots=True)
class ResyncTold:
    """What was told may not be all: a snapshot follows."""

    reason: ResyncReason


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing has happened, up to the cursor."""

    cursor: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class Synced:
    """The answer to whoever asks now and then. With a snapshot: it replaces what was held, then the updates count."""

    resync: ResyncReason | None
    snapshot: PrimaryDays | None
    updates: Sequence[Delivery]
    cursor: str


class TooLarge(Exception):
    """The days that were asked for are more than a snapshot may have."""


Told = Subscribed | SnapshotPage | Update | ResyncTold | Heartbeat | Closed
ReadSnapshot = Callable[[], Awaitable[PrimaryDays]]
Permission = Callable[[], CloseReason | None]


class Telling:
    """The stream of one subscription. `permission` is asked before each thing told: why it must be the last."""

    def __init__(
        self,
        joined: Subscription,
        cursors: Cursors,
        read: ReadSnapshot,
        permission: Permission,
        heartbeat_seconds: float,
    ) -> None:
        self._joined = joined
        self._cursors = cursors
        self._read = read
        self._permission = permission
        self._heartbeat_seconds = heartbeat_seconds

    async def told(self) -> AsyncGenerator[Told, None]:
        """Everything, until the subscription has ended. Whoever iterates closes the subscription afterwards."""
        joined = self._joined
        yield Subscribed(joined.who.org_id, self._heartbeat_seconds)
        if joined.lacks_snapshot and not joined.resync_waits:
            async for page in self._snapshot():
                yield page
                del page  # a stream may be idle for hours afterwards
        while joined.closed is None:
            if not await self._something_waits():
                yield Heartbeat(self._cursor())
                continue
            message = joined.take()
            if isinstance(message, Delivery):
                yield Update(message, self._cursor())
            elif isinstance(message, Resync):
                yield ResyncTold(message.reason)
                async for page in self._snapshot():
                    yield page
        yield Closed(joined.closed)

    def close(self, reason: CloseReason) -> None:
        """Nothing more is told: whoever writes it down cannot go on."""
        self._joined.close(reason)

    async def at_once(self) -> Synced:
        """What a subscriber that does not stay is told: all that waits now, or a snapshot.

        Raises TooLarge, and what reading a snapshot raises.
        """
        joined, reason, snapshot = self._joined, None, None
        updates: list[Delivery] = []
        if joined.lacks_snapshot and not joined.resync_waits:
            snapshot = await self._noted()
        while (message := joined.take()) is not None:
            if isinstance(message, Delivery):
                updates.append(message)
            else:
                reason, updates = message.reason, []
                snapshot = await self._noted()
        return Synced(reason, snapshot, updates, self._cursor())

    async def _noted(self) -> PrimaryDays | None:
        """A snapshot that is told now; None: its epoch is past, and a Resync waits."""
        days = await self._read_current()
        if not days.complete:
            raise TooLarge
        return days if self._note(days) else None

    async def _read_current(self) -> PrimaryDays:
        """Raises a Transient for what a former primary says, too: asked again at once it would say the same."""
        days = await self._read()
        if self._joined.is_past(days.epoch):
            raise DatabaseUnavailable(f"who answers as the primary is of epoch {days.epoch}, which is past")
        return days

    def _note(self, days: PrimaryDays) -> bool:
        versions = {(each.property_id, each.balance_date): each.version for each in days.balances}
        return self._joined.note(days.epoch, versions)

    async def _something_waits(self) -> bool:
        """False: nothing came for the time of a heartbeat. Ends the subscription where its permission has ended."""
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                await self._joined.wait()
        except TimeoutError:
            waits = False
        else:
            waits = True
        return self._ended() or waits

    def _ended(self) -> bool:
        """Whether its holder may not be told any more; then the subscription has ended."""
        ended = self._permission()
        if ended is not None:
            self._joined.close(ended)
        return ended is not None

    async def _snapshot(self) -> AsyncIterator[Told]:
        """The days that it asked for; nothing where its epoch is past: a Resync waits then."""
        joined, days = self._joined, None
        async for found in self._read_patiently():
            if isinstance(found, Heartbeat):
                yield found
            else:
                days = found
        if days is None:
            return
        if not days.complete:
            joined.close(CloseReason.TOO_LARGE)
            return
        if not self._note(days):
            return
        cursor = self._cursor()  # of this moment: what comes while the pages are written comes behind it
        for at in range(0, max(len(days.balances), 1), _PAGE_DAYS):
            if self._ended():  # a page may take its time on the way, and a token end meanwhile
                return
            page, end = days.balances[at : at + _PAGE_DAYS], at + _PAGE_DAYS >= len(days.balances)
            yield SnapshotPage(days.epoch, page, cursor if end else None)
            joined.goes_on()

    async def _read_patiently(self) -> AsyncIterator[PrimaryDays | Heartbeat]:
        """Again and again while the primary is away, saying that we are there; nothing once the subscription ended."""
        failures = 0
        while self._joined.closed is None:
            try:
                yield await self._read_current()
            except Transient as error:
                if not failures:
                    log.warning("a snapshot could not be read, and is tried again", error=str(error))
                longest = _AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS) - 1)]
                failures += 1
                await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311  # jitter, no secret
                self._ended()
                yield Heartbeat(self._cursor())
            else:
                return

    def _cursor(self) -> str:
        return self._cursors.encode(self._joined.cursor())
