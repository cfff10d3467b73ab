"""One subscriber: what waits for it, where its stream goes on, and how it ends."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.realtime.conflating import Conflating, Offered
from pipeline.realtime.cursor import Cursor
from pipeline.realtime.messages import CloseReason, Delivery, Entry, Filters, Key, Message, Resync, ResyncReason
from pipeline.realtime.metrics import RealtimeMetrics
from schemas.epochs import UNKNOWN, Step, step


@dataclass(frozen=True, slots=True)
class SubscriberBounds:
    """Of one subscription."""

    pending_max: int  # days that wait
    known_max: int  # days whose told version is remembered
    slow_seconds: float  # since when something waits and nothing was taken


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who it is: the caps count by user and by organisation."""

    org_id: int
    user_id: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a subscription needs of its hub: where that has read to, and whom to tell of the end."""

    place: Callable[["Subscription"], Cursor]
    ended: Callable[["Subscription"], None]
    bounds: SubscriberBounds
    metrics: RealtimeMetrics
    clock: Clock


class Subscription:
    """Filled by the hub, emptied by whoever writes to the subscriber. Every method but `wait` returns at once."""

    # There may be ten thousand, idle.
    __slots__ = (
        "_around",
        "_epoch",
        "_lacks_snapshot",
        "_queue",
        "_resync",
        "_waits_since",
        "_wake",
        "closed",
        "filters",
        "who",
    )

    def __init__(self, who: Subscriber, filters: Filters, around: Surroundings, epoch: str) -> None:
        """`epoch`: of what it will be told; UNKNOWN where nothing was heard yet."""
        self.who = who
        self.filters = filters
        self.closed: CloseReason | None = None
        self._around = around
        self._epoch = epoch
        self._queue = Conflating(around.bounds.known_max)
        self._resync: Resync | None = None
        self._lacks_snapshot = True
        self._waits_since: float | None = None
        self._wake = asyncio.Event()

    @property
    def lacks_snapshot(self) -> bool:
        """Nothing was told that updates could follow on."""
        return self._lacks_snapshot

    @property
    def resync_waits(self) -> bool:
        return self._resync is not None

    # What the hub does

    def resume(self, entries: Iterable[Entry]) -> None:
        """It has had everything before these: no snapshot is needed."""
        self._lacks_snapshot = False
        for entry in entries:
            self._take_in(entry)
        # Not its own slowness: closed for it, it would come back with the same cursor, for ever.
        if len(self._queue) > self._around.bounds.pending_max:
            self.tell_resync(ResyncReason.CURSOR_TOO_OLD)

    def offer(self, entry: Entry) -> None:
        """A record of its organisation. One that is of an older epoch, or not newer than what it has, is dropped."""
        if self.closed is None:
            self._take_in(entry)
            if len(self._queue) > self._around.bounds.pending_max:
                self.close(CloseReason.SLOW_CONSUMER)

    def hear_epoch(self, epoch: str) -> None:
        """Somebody was told something of this epoch: what a former primary told this subscriber may be lost."""
        found = step(self._epoch, epoch)
        if found is Step.CHANGED:
            self.tell_resync(ResyncReason.EPOCH_CHANGED)
        if found is not Step.OLDER:
            self._epoch = epoch

    def tell_resync(self, reason: ResyncReason) -> None:
        """It begins anew, with a snapshot: what waits is in it."""
        if self.closed is not None:
            return
        self._queue.clear()
        if self._resync is None:
            self._around.metrics.resyncs.labels(reason.value).inc()
            self._resync = Resync(reason)
        self._see_what_waits()

    def look(self) -> None:
        """Ends it if something has waited for too long, other than for the snapshot that we owe it."""
        since, bound = self._waits_since, self._around.bounds.slow_seconds
        owed = self._lacks_snapshot and self._resync is None
        if since is not None and not owed and self._around.clock.monotonic() - since >= bound:
            self.close(CloseReason.SLOW_CONSUMER)

    # What whoever writes to the subscriber does

    def is_past(self, epoch: str) -> bool:
        """Whether something later than this epoch was heard: a snapshot of it is of no use."""
        return step(self._epoch, epoch) is Step.OLDER

    def goes_on(self) -> None:
        """It was handed a part of something long: the time in which it must take something begins anew."""
        self._waits_since = None
        self._see_what_waits()

    async def wait(self) -> None:
        """Until there is something to take, or the subscription has ended."""
        await self._wake.wait()

    def take(self) -> Message | None:
        """What to tell next; None when nothing waits, or the subscription has ended.

        After a Resync: read a snapshot from the primary, `note` it, tell it, and only then take again.
        """
        if self.closed is not None:
            return None
        message: Message | None = self._resync
        if message is not None:
            self._resync = None
            self._lacks_snapshot = True
            self._queue.forget()
        else:
            message = self._queue.take()
        self._waits_since = None  # it takes: the time begins anew
        self._see_what_waits()
        if isinstance(message, Delivery):
            self._count(message)
        return message

    def note(self, epoch: str, versions: Mapping[Key, int]) -> bool:
        """A snapshot that was read from the primary after subscribing, or after the last Resync, is told now.

        False: it is of an older epoch than what has been heard. Do not tell it: a Resync waits, take that.
        """
        found = step(self._epoch, epoch)
        if found is Step.OLDER:
            self.tell_resync(ResyncReason.EPOCH_CHANGED)
            return False
        if found is Step.CHANGED:  # the snapshot is ahead of the topic: what waits may be of a history that is lost
            self._queue.clear()
        self._epoch = epoch
        self._lacks_snapshot = False
        self._queue.note({key: version for key, version in versions.items() if self.filters.include(key)})
        self.goes_on()
        return True

    def cursor(self) -> Cursor:
        """Everything before it has been taken, or will be told in a newer state behind it.

        As long as a snapshot is lacking it is of no epoch: whoever comes back with such a one is told to resync.
        """
        place, waiting = self._around.place(self), self._queue.first_offset
        lacking = self._lacks_snapshot or self._resync is not None
        return Cursor(
            epoch=UNKNOWN if lacking else self._epoch,
            topic=place.topic,
            partition=place.partition,
            offset=place.offset if waiting is None else waiting,
            org_id=place.org_id,
            view=place.view,
        )

    def close(self, reason: CloseReason) -> None:
        """Nothing more comes; what waits is given up: its cursor lies before it. The first reason stands."""
        if self.closed is None:
            self.closed = reason
            self._around.metrics.closed.labels(reason.value).inc()
            self._around.ended(self)
            self._wake.set()

    def _take_in(self, entry: Entry) -> None:
        if step(self._epoch, entry.update.epoch) is Step.OLDER:
            return
        self.hear_epoch(entry.update.epoch)
        if self.filters.include(entry.key):
            if self._queue.offer(entry) is Offered.CONFLATED:
                self._around.metrics.conflated.inc()
            self._see_what_waits()

    def _see_what_waits(self) -> None:
        if self._resync is None and not self._queue:
            self._waits_since = None
            if self.closed is None:
                self._wake.clear()
            return
        if self._waits_since is None:
            self._waits_since = self._around.clock.monotonic()
        self._wake.set()

    def _count(self, delivery: Delivery) -> None:
        metrics, changed_at = self._around.metrics, delivery.entry.update.changed_at
        metrics.deliveries.inc()
        # 0 where the clock of the database is ahead of ours.
        metrics.delivery_seconds.observe(max((self._around.clock.now() - changed_at).total_seconds(), 0.0))
