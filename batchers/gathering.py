"""Natural batching: a free writer takes everything that has gathered, up to its bounds.

Light load makes small batches and low latency, heavy load big batches and high throughput, with nothing to tune.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from uuid_utils.compat import uuid7

from pipeline.clock import Clock
from schemas.lanes import Batch, Claim, LaneSlice
from schemas.records import Judged
from schemas.topics import Feed


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one batch takes, how long it may wait for company, and how much may wait in all."""

    rows_max: int
    bytes_max: int
    linger_seconds: float
    gathered_rows_max: int
    gathered_bytes_max: int


class _Queue:
    """The records that a lane has of one feed and that wait for the writer."""

    __slots__ = ("epoch", "position", "records")

    def __init__(self, epoch: int, position: int | None) -> None:
        self.epoch = epoch
        self.position = position  # the next offset that the books expect; None before the first record
        self.records: deque[Judged] = deque()


class Gathering:
    """Records on their way from the topic to the writer, in lane order, bounded in rows and bytes."""

    def __init__(self, bounds: Bounds, clock: Clock) -> None:
        self._bounds = bounds
        self._clock = clock
        self._queues: dict[tuple[int, Feed], _Queue] = {}
        self._rows = 0
        self._bytes = 0
        self._oldest: float | None = None
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def full(self) -> bool:
        """Whether fetching must pause."""
        return self._rows >= self._bounds.gathered_rows_max or self._bytes >= self._bounds.gathered_bytes_max

    @property
    def roomy(self) -> bool:
        """Whether fetching may go on again: well below the bound, or it would pause and go on at every record."""
        return self._rows <= self._bounds.gathered_rows_max // 2 and self._bytes <= self._bounds.gathered_bytes_max // 2

    def oldest(self, lane: int, feed: Feed) -> datetime | None:
        """The append time of the oldest record that waits; None where none does."""
        records = self._queues[lane, feed].records
        return records[0].origin.appended_at if records else None

    def open_lane(self, claim: Claim) -> None:
        """Records of a lane will come, from where it stands in each feed, under our claim."""
        for feed in Feed:
            self._queues[claim.lane, feed] = _Queue(claim.epoch, claim.standings[feed].position)

    def add(self, lane: int, feed: Feed, records: Sequence[Judged]) -> None:
        """Put records of a lane, in offset order, behind those of the same feed that wait."""
        self._queues[lane, feed].records.extend(records)
        self._rows += len(records)
        self._bytes += sum(map(_size, records))
        if self._oldest is None and self._rows:
            self._oldest = self._clock.monotonic()
        self._changed.set()

    def close(self) -> None:
        """No more will come: the writer takes what is left without waiting for company."""
        self._closed = True
        self._changed.set()

    async def take(self, idle_seconds: float) -> Batch | None:
        """The next batch. None after `idle_seconds` without one, or when closed and empty (see `drained`)."""
        deadline = self._clock.monotonic() + idle_seconds
        while (wait := self._wait_seconds(deadline)) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return self._cut() if self._rows else None

    @property
    def drained(self) -> bool:
        """Closed, and nothing left."""
        return self._closed and not self._rows

    def _wait_seconds(self, deadline: float) -> float:
        """How long the writer should still wait; 0: take what is there."""
        now = self._clock.monotonic()
        if self._closed:
            return 0
        if self._oldest is None:
            return deadline - now
        if self._rows >= self._bounds.rows_max or self._bytes >= self._bounds.bytes_max:
            return 0
        return self._oldest + self._bounds.linger_seconds - now

    def _cut(self) -> Batch:
        rows_left, bytes_left = self._bounds.rows_max, self._bounds.bytes_max
        slices = []
        for place, queue in self._queues.items():
            records: list[Judged] = []
            while queue.records and rows_left > 0 and bytes_left > 0:
                record = queue.records.popleft()
                rows_left -= 1
                bytes_left -= _size(record)
                records.append(record)
            if records:
                slices.append(_slice(place, queue, records))
        self._rows -= self._bounds.rows_max - rows_left
        self._bytes -= self._bounds.bytes_max - bytes_left
        self._oldest = self._clock.monotonic() if self._rows else None
        self._rotate(slices)
        return Batch(uuid7(), tuple(sorted(slices, key=lambda slice_: (slice_.lane, slice_.feed is not Feed.EVENTS))))

    def _rotate(self, slices: list[LaneSlice]) -> None:
        """Queues that were served stand back, so that a busy one cannot starve its neighbours."""
        for slice_ in slices:
            place = (slice_.lane, slice_.feed)
            self._queues[place] = self._queues.pop(place)


def _slice(place: tuple[int, Feed], queue: _Queue, records: list[Judged]) -> LaneSlice:
    lane, feed = place
    end = records[-1].origin.offset + 1
    start = queue.position if queue.position is not None else records[0].origin.offset
    queue.position = end
    return LaneSlice(lane, queue.epoch, start, end, records, feed)


def _size(record: Judged) -> int:
    origin = record.origin
    size = len(origin.value or b"") + len(origin.key or b"")
    return size + sum(len(name) + len(value or b"") for name, value in origin.headers) if origin.headers else size
