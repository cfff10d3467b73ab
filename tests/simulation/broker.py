"""Topics and a consumer group in memory, as a broker of one node keeps them.

The group is Kafka's: members join and hold everybody up until all have joined or the rebalance timeout is over, lanes
are assigned in ranges, a member whose heartbeats stay away is evicted.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError

from tests.simulation.process import Outages

REBALANCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0  # how often the coordinator looks for members that are silent
Headers = Sequence[tuple[str, bytes | None]]


class Stored(NamedTuple):
    """A record of a partition."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class UnknownMember(Exception):
    """The group does not know the member any more: it was evicted."""


@dataclass(eq=False)
class Member:
    """A client in the group."""

    topics: Sequence[str]
    session_seconds: float
    heard_at: float
    assigned: asyncio.Future[frozenset[TopicPartition]] | None = None  # while it waits to be given lanes


@dataclass(eq=False)
class Group:
    """The coordinator's side of a consumer group."""

    loop: asyncio.AbstractEventLoop
    partitions: int
    members: dict[int, Member] = field(default_factory=dict)  # in the order in which they came
    rebalances: int = 0
    _deadline: float | None = None  # of the rebalance that is going on
    _numbers: int = 0

    @property
    def rebalancing(self) -> bool:
        return self._deadline is not None

    def join(self, number: int | None, member: Member) -> tuple[int, "asyncio.Future[frozenset[TopicPartition]]"]:
        """A member asks for lanes; the answer comes when everybody has asked."""
        if number is None or number not in self.members:
            self._numbers += 1
            number = self._numbers
        self.members[number] = member
        member.heard_at = self.loop.time()
        assigned: asyncio.Future[frozenset[TopicPartition]] = self.loop.create_future()
        member.assigned = assigned
        self.begin_rebalance()
        self._finish_if_complete()
        return number, assigned

    def begin_rebalance(self) -> None:
        """Everybody has to ask anew."""
        if self._deadline is None:
            self._deadline = self.loop.time() + REBALANCE_SECONDS

    def heartbeat(self, number: int) -> bool:
        """Whether the member may go on as it is. Raises UnknownMember when it was evicted."""
        member = self.members.get(number)
        if member is None:
            raise UnknownMember
        member.heard_at = self.loop.time()
        return not self.rebalancing

    def speaks_for_its_lanes(self, number: int | None, generation: int) -> bool:
        """Whether what this member was assigned is still its own: it was not evicted, and no one has moved since."""
        return number in self.members and generation == self.rebalances

    def leave(self, number: int) -> None:
        if self.members.pop(number, None) is not None:
            self.begin_rebalance()
            self._finish_if_complete()

    async def coordinate(self) -> None:
        """Evict who is silent; end a rebalance for which somebody does not come."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.loop.time()
            silent = [
                number
                for number, member in self.members.items()
                if member.assigned is None and now - member.heard_at > member.session_seconds
            ]
            for number in silent:
                self.leave(number)
            if self._deadline is not None and now > self._deadline:
                for number in [number for number, member in self.members.items() if member.assigned is None]:
                    del self.members[number]
                self._assign()

    def _finish_if_complete(self) -> None:
        if self.rebalancing and all(member.assigned is not None for member in self.members.values()):
            self._assign()

    def _assign(self) -> None:
        """By ranges: of each topic the first member has the first partitions."""
        self._deadline = None
        self.rebalances += 1
        each, more = divmod(self.partitions, len(self.members) or 1)
        first = 0
        for place, member in enumerate(self.members.values()):
            lanes = range(first, first + each + (place < more))
            first = lanes.stop
            assigned, member.assigned = member.assigned, None
            member.heard_at = self.loop.time()
            if assigned is not None and not assigned.done():
                assigned.set_result(frozenset(TopicPartition(topic, lane) for topic in member.topics for lane in lanes))


class Broker(Outages):
    """Everything that the broker remembers; and whether it can be reached."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, beginning: datetime, topics: Sequence[str], partitions: int
    ) -> None:
        super().__init__()
        self.loop = loop
        self.partitions = partitions
        self.logs: dict[TopicPartition, list[Stored]] = {
            TopicPartition(topic, number): [] for topic in topics for number in range(partitions)
        }
        self.topics = frozenset(topics)
        self.group = Group(loop, partitions)
        self.stalled_until = 0.0
        self.committed: dict[TopicPartition, int] = {}
        self._beginning = beginning
        self._awaited: list[asyncio.Future[None]] = []

    def partition(self, topic: str, number: int) -> TopicPartition:
        return TopicPartition(topic, number)

    def append(self, partition: TopicPartition, key: bytes | None, value: bytes | None, headers: Headers = ()) -> int:
        """Add a record, stamped by the broker; returns its offset."""
        log = self.logs[partition]
        now = self._beginning + timedelta(seconds=self.loop.time())
        # A broker's clock never runs backwards within a partition of these tests: what if it did is tested elsewhere.
        stamp = round(now.timestamp() * 1000)
        log.append(Stored(len(log), stamp, key, value, tuple(headers)))
        awaited, self._awaited = self._awaited, []
        for arrived in awaited:
            _settle(arrived)
        return len(log) - 1

    async def arrival(self, seconds: float) -> None:
        """Wait until something is appended, or so long."""
        arrived: asyncio.Future[None] = self.loop.create_future()
        self._awaited.append(arrived)
        timer = self.loop.call_later(seconds, _settle, arrived)
        try:
            await arrived
        finally:
            timer.cancel()

    def lost(self) -> Exception:
        error: Exception = RequestTimedOutError("no answer")
        return error

    def refuses(self, _name: str) -> Exception | None:
        return KafkaConnectionError("connection refused") if self.suffers("down") else None


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
