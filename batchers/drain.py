"""After the commit: one effect (publish, or invalidate) carried through the outbox, in order, at least once.

Committed rows come by memory while the effect keeps up. What was not handed over that way - the predecessor's rows at
a claim, rows that came while the effect was failing, or rows that a rebuild appended to a lane of ours - is read back
from the table. So memory is bounded, and a crash between an effect and its mark only repeats the effect.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

import stamina
import structlog
from opentelemetry.context import Context, get_current
from structlog.contextvars import bound_contextvars

from batchers.gate import pause_after
from batchers.outbox import OutboxRow
from batchers.tracing import effect_known
from pipeline.errors import NotAsked, Transient
from pipeline.translate import heed_cancellation

Effect = Callable[[Sequence[OutboxRow]], Awaitable[None]]
Reload = Callable[[int, int, int], Awaitable[list[OutboxRow]]]  # (lane, after seq, bytes) -> rows in order
# A batch of late events can bring 50,000 updates, and a batch of poison 16 MiB of dead letters.
_RELOAD_BYTES_MAX = 4 * 1024 * 1024
_WAITING_BYTES_MAX = 40 * 1024 * 1024

T = TypeVar("T")
log = structlog.get_logger()


def in_turn(*effects: Effect) -> Effect:
    """One effect after the other, as one: it is repeated whole when either fails."""

    async def effect(rows: Sequence[OutboxRow]) -> None:
        for each in effects:
            await each(rows)

    return effect


class Drain:
    """Carries one effect through the outbox rows of a writer's lanes. `marks` tells, by lane, how far it is."""

    def __init__(
        self,
        name: str,
        effect: Effect,
        reload: Reload,
        marks: dict[int, int],
        heads: dict[int, int],
        *,
        waiting_max: int,
        pause_max_seconds: float,
        give_up_seconds: float | None = None,
    ) -> None:
        self.name = name
        self._effect = effect
        self._reload = reload
        self._marks = marks
        # With the context that each batch was offered in: its span, below which that of the effect belongs.
        self._waiting: deque[tuple[Sequence[OutboxRow], Context]] = deque()
        self._waiting_max = waiting_max
        self._pause_max_seconds = pause_max_seconds
        self._give_up_seconds = give_up_seconds  # None: an effect may fail for ever, and is tried again for ever
        # Lanes of which the table holds rows that are not waiting in memory.
        self._behind = {lane for lane, head in heads.items() if marks[lane] < head}
        self._left_behind: dict[int, int] = {}  # how many times rows of a lane were left to the table
        # By lane the newest row that we know to be there. Every row is known of once: offered, or told of by a head.
        self._heads = dict(heads)
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._changed.set()

    @property
    def has_room(self) -> bool:
        """Whether another batch may be committed, as far as this effect is concerned."""
        return self._has_place and max(self._left_behind.values(), default=0) < self._waiting_max

    @property
    def _has_place(self) -> bool:
        if not self._waiting:
            return True
        weight = sum(row.weight for rows, _ in self._waiting for row in rows)
        return len(self._waiting) < self._waiting_max and weight < _WAITING_BYTES_MAX

    @property
    def depth(self) -> int:
        """Batches that wait in memory."""
        return len(self._waiting)

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Hand over the rows of a committed batch; without room they stay in the table until we come back to them."""
        lanes = {row.lane for row in rows}
        # A row between was appended by somebody else: it comes first, and the mark must not pass it.
        follows = all(row.seq <= self._heads[row.lane] + 1 for row in rows)
        for row in rows:
            self._heads[row.lane] = max(self._heads[row.lane], row.seq)
        if not follows or not self._has_place or lanes & self._behind:
            self._leave(lanes)
        elif rows:
            self._waiting.append((rows, get_current()))
        self._idle.clear()
        self._changed.set()

    def see(self, lane: int, head: int) -> None:
        """The table was seen to hold rows of the lane up to `head`: beyond what we know of, somebody else's.

        Or our own, of a batch that has committed and is about to be offered: then it is read back, and not done twice.
        """
        if head > self._heads[lane]:
            self._heads[lane] = head
            self._leave({lane})
            self._idle.clear()
            self._changed.set()

    def _leave(self, lanes: Collection[int]) -> None:
        """Leave rows of these lanes to the table."""
        self._behind |= set(lanes)
        for lane in lanes:
            self._left_behind[lane] = self._left_behind.get(lane, 0) + 1

    async def wait_for_room(self) -> None:
        """Wait until a batch can be handed over in memory."""
        while not self.has_room:
            self._idle.clear()
            await self._idle.wait()

    async def wait_until_done(self) -> None:
        """Wait until every row that was offered or left behind has had its effect."""
        while self._waiting or self._behind:
            self._idle.clear()
            await self._idle.wait()

    async def run(self) -> None:
        """Go on until cancelled. A failing effect is tried again with growing pauses, `give_up_seconds` long at most.

        Raises Transient when it gives up.
        """
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting or self._behind:
                while self._waiting:
                    await self._carry(*self._waiting[0])
                    self._waiting.popleft()
                    self._idle.set()
                # A little of each lane in turn: one that always has more must not keep the others waiting.
                for lane in sorted(self._behind):
                    with bound_contextvars(lane=lane):
                        await self._catch_up(lane)
                    self._idle.set()
            self._idle.set()

    async def _catch_up(self, lane: int) -> None:
        """Read some of the lane's rows back; none, and none left behind while we looked: it has caught up."""
        left_before = self._left_behind.get(lane, 0)
        rows = await self._patiently(lambda: self._reload(lane, self._marks[lane], _RELOAD_BYTES_MAX))
        if rows:
            await self._carry(rows, Context())
        elif self._left_behind.get(lane, 0) == left_before:
            self._behind.discard(lane)
            self._left_behind.pop(lane, None)

    async def _carry(self, rows: Sequence[OutboxRow], parent: Context) -> None:
        # A row that was read back may be offered in memory too: once is enough.
        due = [row for row in rows if row.seq > self._marks[row.lane]]
        if due:
            with effect_known(self.name, due, parent):
                await self._patiently(lambda: self._effect(due))
                log.debug("effect done", effect=self.name)
        for row in due:
            self._marks[row.lane] = row.seq

    async def _patiently(self, action: Callable[[], Awaitable[T]]) -> T:
        retries = stamina.retry_context(
            on=_worth_retrying, attempts=None, timeout=self._give_up_seconds, wait_max=self._pause_max_seconds
        ).with_name(self.name, (), {})
        async for attempt in retries:
            with attempt:
                try:
                    result = await action()
                finally:
                    heed_cancellation()
                if attempt.num > 1:
                    log.info("works again", effect=self.name, attempts=attempt.num)
        return result


def _worth_retrying(error: Exception) -> float | bool:
    return pause_after(error) if isinstance(error, NotAsked) else isinstance(error, Transient)
