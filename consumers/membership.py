"""The consumer group's callbacks, turned into what a session awaits: an assignment, and its end.

The client calls its listener from its own coordinator task, swallows whatever the listener raises, and does not go on
before the listener returns. So nothing is done here: each callback hands over and waits for the session to have acted.
"""

import asyncio

import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

log = structlog.get_logger()


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """One member's assignments, one after the other."""

    def __init__(self) -> None:
        self._assigned: asyncio.Queue[frozenset[TopicPartition]] = asyncio.Queue()
        self._taken = asyncio.Event()
        self._released = asyncio.Event()
        self._released.set()
        self._closed = False
        self.revoked = asyncio.Event()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Called by the client: hold fetching back until the session has claimed the lanes and set positions."""
        if self._closed:
            return
        self.revoked.clear()
        self._taken.clear()
        self._released.clear()
        self._assigned.put_nowait(frozenset(assigned))
        await self._taken.wait()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Called by the client: hold the rebalance back until the session has committed what it holds."""
        log.debug("lanes revoked", lanes=sorted(partition.partition for partition in revoked))
        self.revoked.set()
        await self._released.wait()

    async def next_assignment(self) -> frozenset[TopicPartition]:
        return await self._assigned.get()

    def close(self) -> None:
        """The session is over: nothing holds the client back any more, or it could not even stop.

        A member that is leaving may still be assigned lanes at that very moment.
        """
        self._closed = True
        self.released()

    def taken(self) -> None:
        """The session stands at its positions: the client may fetch."""
        self._taken.set()

    def released(self) -> None:
        """The session has let go: the group may give the lanes to others."""
        self._taken.set()
        self._released.set()
