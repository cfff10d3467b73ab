"""One life in the consumer group: join, claim what is assigned, fetch and hand on, let go when told to.

Everything that goes wrong ends the session; the worker begins a new one from the positions in the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog
from aiokafka import TopicPartition

from consumers.claiming import (
    Claimant,
    ClaimedLane,
    RecordedRules,
    TopicRange,
    claim_lanes,
    starts_and_stops,
    tell_stopped,
)
from consumers.client import Consumer
from consumers.fetching import Fetching
from consumers.lane import FetchedLane
from consumers.membership import Membership
from consumers.pausing import Connected, Pause, Pausing
from consumers.stopping import Stop
from consumers.watching import Watch
from pipeline.errors import BrokerUnavailable, DatabaseUnavailable, Fatal, PipelineError, TopicMismatch
from pipeline.metrics import Metrics
from pipeline.translate import broker_errors
from schemas.codec import Rules
from schemas.lanes import Claim, Positions
from schemas.records import Judged
from schemas.topics import Feed

_TOPIC_LOOKS = 3
_LOOK_SECONDS = 1.0

T = TypeVar("T")
log = structlog.get_logger()


class Sink(Protocol):
    """Where judged records of claimed lanes go: the writers, as far as a session needs them."""

    @property
    def positions(self) -> Positions: ...

    @property
    def gathered_rows(self) -> int: ...

    def oldest_waiting(self, lane: int, feed: Feed) -> datetime | None: ...

    def add(self, lane: int, feed: Feed, records: Sequence[Judged]) -> None: ...

    def accept_poison(self, lane: int, until: datetime) -> None: ...

    def see_outbox(self, lane: int, head: int) -> None: ...

    def full(self, lane: int) -> bool: ...

    def roomy(self, lane: int) -> bool: ...

    async def run(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs to know of the settings."""

    topics: Mapping[Feed, str]  # as they are called on this cluster
    owner: str
    rules: RecordedRules
    retention_months: int
    stall_seconds: float
    claim_seconds: float  # the client sends no heartbeats while we claim: less than the session's timeout


Trip = Callable[[Claim, str], Awaitable[None]]  # pauses the lane of a claim, for a reason
OpenSink = Callable[[Sequence[Claim], int, Trip], Sink]  # (claims, number of lanes in all, …)


class Session:
    """A member of the group, from joining to leaving."""

    def __init__(
        self,
        consumer: Consumer,
        connected: Connected,
        open_sink: OpenSink,
        settings: SessionSettings,
        metrics: Metrics,
    ) -> None:
        self._consumer = consumer
        self._connected = connected
        self._open_sink = open_sink
        self._settings = settings
        self._metrics = metrics
        self._membership = Membership()
        self._pausing: Pausing | None = None
        self.ready = False  # whether the lanes are claimed and records may flow
        self.held = False  # whether lanes were ever claimed

    async def run(self, stop: Stop) -> None:
        """Take part in the group until `stop` is set. Raises Transient when a new session should follow."""
        try:
            with broker_errors("joining the consumer group"):
                await self._consumer.start()
            await self._require_topics()
            self._consumer.subscribe(list(self._settings.topics.values()), listener=self._membership)
            while (assigned := await self._next_assignment(stop)) is not None:
                try:
                    await self._hold(assigned, stop)
                finally:
                    self.ready = False
                    self._metrics.lanes_given_up()
                    self._membership.released()
        finally:
            self._membership.close()
            await self._leave(stop)

    async def _require_topics(self) -> None:
        """Subscribing to a topic that does not exist would wait for it without a word. Raises TopicMismatch."""
        for _ in range(_TOPIC_LOOKS):
            with broker_errors("asking for the topics"):
                missing = set(self._settings.topics.values()) - await self._consumer.topics()
            if not missing:
                return
            await asyncio.sleep(_LOOK_SECONDS)  # a broker that is just starting does not know all of them yet
        raise TopicMismatch(f"{', '.join(sorted(missing))}: no such topic; run `folio topics create`")

    async def _next_assignment(self, stop: Stop) -> frozenset[TopicPartition] | None:
        """What the group gives us next; None when `stop` is set first."""
        while not stop.requested:
            assigned = await _unless(stop, self._membership.next_assignment(), seconds=_LOOK_SECONDS)
            if assigned is not None:
                return assigned
            # The client tells its coordinator's errors only to who asks it for records: ask while there are none.
            with broker_errors("waiting for lanes"):
                await self._consumer.getmany(timeout_ms=0)
        return None

    async def _leave(self, stop: Stop) -> None:
        """Leave the group; where that cannot be done in time, without a word, and the group evicts us."""
        try:
            with broker_errors("leaving the group"):
                async with asyncio.timeout(stop.seconds_left()):
                    await self._consumer.leave()
        except BrokerUnavailable as error:
            log.warning("the group was not left in order", error=str(error))
        finally:
            await self._consumer.abandon()

    async def _hold(self, assigned: frozenset[TopicPartition], stop: Stop) -> None:
        """Own the assigned lanes until they are revoked, or we stop."""
        lane_count = self._lane_count()
        try:
            async with asyncio.timeout(self._settings.claim_seconds):
                lanes, paused, primary = await self._claim(assigned, lane_count)
        except TimeoutError as error:
            raise DatabaseUnavailable(f"claiming took longer than {self._settings.claim_seconds:g} s") from error
        claims = [lane.claim for lane in lanes.values() if lane.feed is Feed.EVENTS]
        sink = self._open_sink(claims, lane_count, self._trip)
        fetching = Fetching(self._consumer, lanes, self._rules(), sink, self._stop_lane)
        numbers = [claim.lane for claim in claims]
        self._pausing = Pausing(self._connected, paused, numbers, primary, fetching, sink, self._metrics)
        watch = Watch(self._consumer, lanes, sink, self._settings.stall_seconds, self._metrics)
        self._membership.taken()
        self.ready = self.held = True
        self._metrics.lanes_owned.set(len(claims))
        log.info("lanes claimed", lanes=_by_lane({(each.lane, each.feed): each.position for each in lanes.values()}))
        try:
            async with asyncio.TaskGroup() as tasks:
                fetch = tasks.create_task(fetching.run(), name="fetch")
                watcher = tasks.create_task(watch.run(), name="watch")
                pausing = tasks.create_task(self._pausing.run(), name="pausing")
                write = tasks.create_task(sink.run(), name="write")
                await _unless(stop, self._membership.revoked.wait())
                self.ready = False
                fetch.cancel()
                watcher.cancel()
                pausing.cancel()
                sink.close()
                await self._finish(write, stop)
            await watch.commit_offsets()
        except BaseExceptionGroup as group:
            raise _gravest(group) from group
        log.info("lanes released", lanes=_by_lane(sink.positions))

    async def _finish(self, write: "asyncio.Task[None]", stop: Stop) -> None:
        """What has gathered is written and published; past the grace it stays for the next owner."""
        seconds = stop.seconds_left_to_drain()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(write)
        except TimeoutError:
            log.warning("not drained in time, the next owner does the rest", seconds=round(seconds, 1))
            write.cancel()

    def _rules(self) -> Rules:
        return Rules(past_max=self._settings.rules.past_max, future_max=self._settings.rules.future_max)

    def _lane_count(self) -> int:
        """The partitions of every feed. Raises TopicMismatch when they differ: partition p of each makes lane p."""
        counts = {
            topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._settings.topics.values()
        }
        if len(set(counts.values())) != 1 or not all(counts.values()):
            found = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
            raise TopicMismatch(f"the topics must have equally many partitions: {found}; see `folio topics check`")
        return max(counts.values())

    async def _trip(self, claim: Claim, reason: str) -> None:
        assert self._pausing is not None, "nothing is committed before the lanes are fetched"
        await self._pausing.trip(claim, reason)

    async def _claim(
        self, assigned: frozenset[TopicPartition], lane_count: int
    ) -> tuple[dict[TopicPartition, FetchedLane], dict[int, Pause], str | None]:
        """Claim every assigned lane and seek to its position. A lane that cannot go on is left out, and says why.

        Returns the lanes, those of them that are paused, and the primary that the claims were made on.
        """
        settings = self._settings
        by_feed = self._whole_lanes(assigned)
        claimant = Claimant(settings.owner, settings.topics, lane_count, settings.rules, settings.retention_months)
        async with self._connected("claiming lanes") as connection:
            claimed_lanes = await claim_lanes(connection, claimant, by_feed)
        # After the claim: others could have moved the lane past an end that was asked for before.
        held = await self._ranges(by_feed)
        starts, stops = starts_and_stops(settings.topics, claimed_lanes, held)
        await self._tell_stops(claimed_lanes, stops)
        lanes: dict[TopicPartition, FetchedLane] = {}
        for claim in [each.claim for each in claimed_lanes]:
            for feed, partition in by_feed[claim.lane].items():
                if claim.lane in stops:
                    self._consumer.pause(partition)
                    continue
                start = starts[claim.lane][feed]
                self._consumer.seek(partition, start)
                lanes[partition] = FetchedLane(feed, partition.topic, claim, start)
        going = [each for each in claimed_lanes if each.claim.lane not in stops]
        paused = {each.claim.lane: each.pause for each in going if each.pause is not None}
        primary = next((each.claim.cluster_epoch for each in claimed_lanes), None)
        return lanes, paused, primary

    async def _tell_stops(self, claimed_lanes: Sequence[ClaimedLane], stops: Mapping[int, Fatal]) -> None:
        """Tell whoever asks the database why lanes do not go on, and which do again. Raises FenceLost."""
        changed = [each for each in claimed_lanes if each.was_stopped or each.claim.lane in stops]
        if changed:
            async with self._connected("telling which lanes are stopped") as connection:
                for claim in [each.claim for each in changed]:
                    reason = stops.get(claim.lane)
                    await tell_stopped(connection, claim, str(reason) if reason is not None else None)
        for lane, error in stops.items():
            log.error("lane stopped", lane=lane, reason=str(error))
        self._metrics.lanes_stopped.set(len(stops))

    async def _stop_lane(self, claim: Claim, error: Fatal) -> None:
        async with self._connected("stopping a lane") as connection:
            await tell_stopped(connection, claim, str(error))
        log.error("lane stopped", lane=claim.lane, reason=str(error))
        self._metrics.lanes_stopped.inc()

    def _whole_lanes(self, assigned: frozenset[TopicPartition]) -> dict[int, dict[Feed, TopicPartition]]:
        """The partitions of each lane by feed. Raises TopicMismatch when a lane was torn in two."""
        feed_of = {topic: feed for feed, topic in self._settings.topics.items()}
        lanes: dict[int, dict[Feed, TopicPartition]] = {each.partition: {} for each in assigned}
        for each in assigned:
            lanes[each.partition][feed_of[each.topic]] = each
        torn = sorted(lane for lane, feeds in lanes.items() if len(feeds) != len(Feed))
        if torn:
            raise TopicMismatch(f"the group gave us lanes {torn} of one topic only: no other client may be its member")
        return lanes

    async def _ranges(self, lanes: Mapping[int, Mapping[Feed, TopicPartition]]) -> dict[int, dict[Feed, TopicRange]]:
        """By lane and feed, what the broker holds."""
        partitions = [each for by_feed in lanes.values() for each in by_feed.values()]
        if not partitions:
            return {}
        with broker_errors("asking for the offsets of the topic"):
            beginnings = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)
        return {
            lane: {feed: TopicRange(beginnings[each], ends[each]) for feed, each in by_feed.items()}
            for lane, by_feed in lanes.items()
        }


def _by_lane(positions: Positions) -> dict[int, dict[str, int]]:
    """For the log: of each lane the offset at which it stands in each feed."""
    found: dict[int, dict[str, int]] = {}
    for (lane, feed), position in sorted(positions.items()):
        found.setdefault(lane, {})[feed.value] = position
    return found


async def _unless(stop: Stop, awaited: Coroutine[Any, Any, T], seconds: float | None = None) -> T | None:
    """The result of `awaited`, or None when `stop` is set first, or after `seconds`."""
    stopping = asyncio.ensure_future(stop.wait())
    waiting = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait((stopping, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        stopping.cancel()
        waiting.cancel()


def _gravest(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of several failures at once the one to act on: a bug before a Fatal before a Transient."""
    leaves = list(_leaves(group))
    return min(leaves, key=lambda error: (isinstance(error, PipelineError), not isinstance(error, Fatal)))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
