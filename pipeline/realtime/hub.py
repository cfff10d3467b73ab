"""Who listens, and what is told to whom. One of a process; a feed fills it, subscriptions are taken from it.

Nothing here waits: between a subscriber's registering and the cursor it is given, no record can come in.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from pipeline.clock import Clock, SystemClock
from pipeline.realtime.cursor import Cursor
from pipeline.realtime.messages import CloseReason, Entry, Filters, Refusal, ResyncReason
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.realtime.ring import Ring, RingBounds
from pipeline.realtime.subscription import Subscriber, SubscriberBounds, Subscription, Surroundings
from pipeline.settings_serving import RealtimeSettings
from schemas.epochs import UNKNOWN, Step, step
from schemas.routing import home_lane
from schemas.updates import BalanceUpdate


@dataclass(frozen=True, slots=True)
class HubBounds:
    """Connections at most, and the memory of all partitions together."""

    user_max: int
    org_max: int
    process_max: int
    ring_entries_max: int  # of each partition
    ring_bytes_max: int  # of all


def bounds_of(settings: RealtimeSettings) -> tuple[HubBounds, SubscriberBounds]:
    """The bounds that the settings name."""
    return (
        HubBounds(
            user_max=settings.user_connections_max,
            org_max=settings.org_connections_max,
            process_max=settings.connections_max,
            ring_entries_max=settings.ring_entries_max,
            ring_bytes_max=settings.ring_bytes_max,
        ),
        SubscriberBounds(
            pending_max=settings.pending_days_max,
            known_max=settings.known_days_max,
            slow_seconds=settings.slow_seconds_max,
        ),
    )


class Hub:
    """The subscriptions by organisation, and what each partition told last."""

    def __init__(
        self,
        topic: str,
        bounds: HubBounds,
        subscriber_bounds: SubscriberBounds,
        metrics: RealtimeMetrics,
        clock: Clock | None = None,
    ) -> None:
        self._topic = topic
        self._bounds = bounds
        self._metrics = metrics
        self._rings: dict[int, Ring] = {}
        self._subscriptions: dict[int, dict[Subscription, None]] = {}  # in the order in which they came
        self._of_users: Counter[str] = Counter()
        self._open = 0
        self._epoch = UNKNOWN
        self._draining = False
        self._caught_up = asyncio.Event()
        self._around = Surroundings(self._place, self._ended, subscriber_bounds, metrics, clock or SystemClock())
        metrics.ring(lambda: sum(ring.size_bytes for ring in self._rings.values()))

    # What the feed does

    def positions(self) -> dict[int, int]:
        """The offset that is read next, of each partition; empty before `begin`."""
        return {partition: ring.position for partition, ring in self._rings.items()}

    def begin(self, positions: Mapping[int, int], reason: ResyncReason | None) -> None:
        """Reading begins at these positions; what was remembered is void, and all are told to resync, for `reason`."""
        bounds = RingBounds(self._bounds.ring_entries_max, self._bounds.ring_bytes_max // max(len(positions), 1))
        self._rings = {partition: Ring(position, bounds) for partition, position in positions.items()}
        if reason is not None:
            for subscription in self._all():
                subscription.tell_resync(reason)

    def receive(self, entry: Entry) -> int:
        """The next record of a partition; returns to how many subscriptions it went."""
        self._metrics.received.inc()
        self._rings[entry.partition].append(entry)
        self._hear_epoch(entry.update.epoch)
        org_id = entry.update.org_id
        followers = tuple(self._subscriptions.get(org_id, ()))
        for subscription in followers:
            if entry.partition == self._home(org_id):
                subscription.offer(entry)
            else:  # its offset means nothing beside those of the home partition
                subscription.tell_resync(ResyncReason.TOPIC_GROWN)
        return len(followers)

    def caught_up(self) -> None:
        """What was told before this process began has been read: now whoever comes back can be judged."""
        self._caught_up.set()

    def pass_over(self, partition: int, position: int) -> None:
        """Nothing that can be told lies before `position`."""
        self._rings[partition].pass_over(position)

    # What whoever serves subscribers does

    def subscribe(self, who: Subscriber, filters: Filters, cursor: Cursor | None = None) -> Subscription | Refusal:
        """Register first, then replay what came since `cursor`, or have a Resync wait that says why that cannot be.

        Without a cursor: read a snapshot from the primary AFTER this, and `note` it. Whatever is committed before that
        reading is in it; whatever later, is published later, and waits in the subscription.
        """
        refusal = self._refusal(who)
        if refusal is not None:
            self._metrics.refused.labels(refusal.value).inc()
            return refusal
        # Registered before anything is replayed or read.
        if cursor is None:
            return self._registered(Subscription(who, filters, self._around, self._epoch))
        reason = self._judge(who, filters, cursor)
        if reason is not None:
            subscription = self._registered(Subscription(who, filters, self._around, self._epoch))
            subscription.tell_resync(reason)
            return subscription
        subscription = self._registered(Subscription(who, filters, self._around, cursor.epoch))
        replayed = self._rings[cursor.partition].since(cursor.offset)
        subscription.resume(entry for entry in replayed if entry.update.org_id == who.org_id)
        return subscription

    @property
    def ready(self) -> bool:
        """Whether somebody may subscribe."""
        return self._caught_up.is_set() and not self._draining

    @property
    def draining(self) -> bool:
        """Whether the process is about to end."""
        return self._draining

    async def wait_until_ready(self, seconds: float) -> bool:
        """Whether the feed has caught up within so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._caught_up.wait()
        return self._caught_up.is_set()

    @property
    def open(self) -> int:
        """Subscriptions that have not ended."""
        return self._open

    def newest(self, most: int) -> list[BalanceUpdate]:
        """What was told last, newest first."""
        told = (entry.update for ring in self._rings.values() for entry in ring.entries())
        return heapq.nlargest(most, told, key=lambda update: update.changed_at)

    def look(self) -> None:
        """Ends who has taken nothing for too long. To be called about once a second."""
        for subscription in self._all():
            subscription.look()

    def drain(self) -> None:
        """Everybody is to go on elsewhere; nobody is taken any more."""
        self._draining = True
        for subscription in self._all():
            subscription.close(CloseReason.DRAINING)

    def _refusal(self, who: Subscriber) -> Refusal | None:
        if self._draining:
            return Refusal.DRAINING
        if not self.ready:
            return Refusal.NOT_READY
        if self._of_users[who.user_id] >= self._bounds.user_max:
            return Refusal.USER_FULL
        if len(self._subscriptions.get(who.org_id, ())) >= self._bounds.org_max:
            return Refusal.ORG_FULL
        return Refusal.PROCESS_FULL if self._open >= self._bounds.process_max else None

    def _registered(self, subscription: Subscription) -> Subscription:
        self._subscriptions.setdefault(subscription.who.org_id, {})[subscription] = None
        self._of_users[subscription.who.user_id] += 1
        self._open += 1
        self._metrics.connections.set(self._open)
        return subscription

    def _ended(self, subscription: Subscription) -> None:
        who = subscription.who
        del self._subscriptions[who.org_id][subscription]
        if not self._subscriptions[who.org_id]:
            del self._subscriptions[who.org_id]
        self._of_users[who.user_id] -= 1
        if not self._of_users[who.user_id]:
            del self._of_users[who.user_id]
        self._open -= 1
        self._metrics.connections.set(self._open)

    def _judge(self, who: Subscriber, filters: Filters, cursor: Cursor) -> ResyncReason | None:
        """Why a subscriber cannot go on from its cursor."""
        said = (cursor.org_id, cursor.topic, cursor.partition, cursor.view)
        if cursor.epoch == UNKNOWN or said != (who.org_id, self._topic, self._home(who.org_id), filters.view):
            return ResyncReason.CURSOR_FOREIGN
        if self._epoch != UNKNOWN and step(cursor.epoch, self._epoch) is Step.CHANGED:
            return ResyncReason.EPOCH_CHANGED
        return self._rings[cursor.partition].judge(cursor.offset)

    def _hear_epoch(self, epoch: str) -> None:
        found = step(self._epoch, epoch)
        if found in {Step.SAME, Step.OLDER}:
            return
        # What a former primary told last may be lost, of any organisation: also of those of which nothing more comes.
        self._epoch = epoch
        for subscription in self._all():
            subscription.hear_epoch(epoch)

    def _all(self) -> list[Subscription]:
        return [subscription for of_org in self._subscriptions.values() for subscription in of_org]

    def _home(self, org_id: int) -> int:
        return home_lane(org_id, len(self._rings))

    def _place(self, subscription: Subscription) -> Cursor:
        """Up to where has been read for a subscriber."""
        org_id, partition = subscription.who.org_id, self._home(subscription.who.org_id)
        offset = self._rings[partition].position
        return Cursor(self._epoch, self._topic, partition, offset, org_id, subscription.filters.view)
