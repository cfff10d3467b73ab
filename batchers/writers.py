"""All writers of a worker: each owns some of the claimed lanes, and writes them in one transaction at a time."""

import asyncio
import math
from collections.abc import Callable, Sequence
from datetime import datetime

from batchers.books import Books
from batchers.breaker import PoisonBreaker
from batchers.drain import Drain
from batchers.gathering import Gathering
from batchers.outbox import Marks
from batchers.writer import Writer
from schemas.lanes import Claim, Positions
from schemas.records import Judged
from schemas.topics import Feed


class LaneGroup:
    """A writer with the parts that belong to it."""

    def __init__(
        self, writer: Writer, gathering: Gathering, books: Books, publisher: Drain, invalidator: Drain
    ) -> None:
        self.writer = writer
        self.gathering = gathering
        self._books = books
        self._publisher = publisher
        self._invalidator = invalidator

    def depth(self, effect: str) -> int:
        """Batches that wait for one of the two effects, by its name."""
        return next(drain.depth for drain in (self._publisher, self._invalidator) if drain.name == effect)

    def see_outbox(self, lane: int, head: int) -> None:
        """Tell both effects how far the lane's outbox goes, whoever has appended to it."""
        for drain in (self._publisher, self._invalidator):
            drain.see(lane, head)

    async def run(self) -> None:
        """Write until closed and drained, and let everyone hear of the last batch."""
        try:
            async with asyncio.TaskGroup() as tasks:
                effects = [
                    tasks.create_task(drain.run(), name=drain.name) for drain in (self._publisher, self._invalidator)
                ]
                await self.writer.run()
                await self.writer.finish()
                for effect in effects:
                    effect.cancel()
        finally:
            self._books.discard()


Assemble = Callable[[Sequence[Claim], Marks], LaneGroup]


def lanes_of_writer(lanes: int, wanted: int, writers_max: int) -> int:
    """How many lanes share a writer: as many as wanted (0: all), more where there would be too many writers."""
    return max(wanted or lanes, math.ceil(lanes / writers_max), 1)


class Writers:
    """What a session hands its records to."""

    def __init__(
        self, claims: Sequence[Claim], lanes_of_writer: int, assemble: Assemble, breaker: PoisonBreaker
    ) -> None:
        self._breaker = breaker
        self._group_of: dict[int, LaneGroup] = {}
        self._groups: list[LaneGroup] = []
        ordered = sorted(claims, key=lambda claim: claim.lane)
        for first in range(0, len(ordered), lanes_of_writer):
            members = ordered[first : first + lanes_of_writer]
            group = assemble(members, Marks.of(members))
            for claim in members:
                group.gathering.open_lane(claim)
                self._group_of[claim.lane] = group
            self._groups.append(group)

    @property
    def positions(self) -> Positions:
        """Where each lane stands in each feed, as committed under our claims."""
        return {place: at for group in self._groups for place, at in group.writer.positions.items()}

    @property
    def gathered_rows(self) -> int:
        return sum(group.gathering.rows for group in self._groups)

    def waiting_batches(self, effect: str) -> int:
        """Committed batches that wait in memory to be published, or invalidated."""
        return sum(group.depth(effect) for group in self._groups)

    def add(self, lane: int, feed: Feed, records: Sequence[Judged]) -> None:
        self._group_of[lane].gathering.add(lane, feed, records)

    def accept_poison(self, lane: int, until: datetime) -> None:
        """Somebody has resumed the lane: what was appended until then is let through."""
        self._breaker.accept(lane, until)

    def see_outbox(self, lane: int, head: int) -> None:
        """The lane's outbox was seen to go up to `head`: a rebuild appends to it too, and publishes nothing itself."""
        self._group_of[lane].see_outbox(lane, head)

    def oldest_waiting(self, lane: int, feed: Feed) -> datetime | None:
        """The append time of the oldest record of a feed that is held and not committed."""
        return self._group_of[lane].writer.oldest_waiting(lane, feed)

    def full(self, lane: int) -> bool:
        return self._group_of[lane].gathering.full

    def roomy(self, lane: int) -> bool:
        return self._group_of[lane].gathering.roomy

    def close(self) -> None:
        for group in self._groups:
            group.gathering.close()

    async def run(self) -> None:
        """Run every writer until all are closed and drained; the first failure ends them all."""
        async with asyncio.TaskGroup() as tasks:
            for group in self._groups:
                tasks.create_task(group.run(), name="lanes")
