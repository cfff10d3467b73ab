"""Waiting until the stream has decided: one look at the lanes for everybody who waits, and then what became of it.

The lanes are looked at only while somebody waits, by one statement for all of them: what a thousand requests a second
would ask one by one is asked forty times.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from pipeline.api.metrics import ApiMetrics
from pipeline.api.publishing import Placed
from pipeline.clock import Clock
from pipeline.errors import Overloaded, PipelineError
from pipeline.storage.intent import ReadYourWrites
from pipeline.storage.outcomes import Decided, Outcomes, Sent
from schemas.epochs import is_past
from schemas.records import Accepted

# A batch of the stream lingers for about so long: looking more often would answer no earlier.
_LOOK_SECONDS: Final = 0.025
# A database that did not answer is not asked forty times a second whether it is back.
_LOOK_AGAIN_SECONDS: Final = 0.5
# An answer of many organisations asks for each of them: so many at once.
_ORGS_AT_ONCE: Final = 4

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Waiter:
    org_id: int
    offsets: Mapping[int, int]  # by lane: the highest one
    decided: asyncio.Event

    def is_passed_by(self, positions: Mapping[int, int]) -> bool:
        return all(positions.get(lane, 0) > offset for lane, offset in self.offsets.items())


class Applying:
    """Tells what became of events, as soon as the stream has decided on them; `run` must go on beside."""

    def __init__(self, outcomes: Outcomes, wait_seconds: float, waiting_max: int, clock: Clock, metrics: ApiMetrics):
        self.wait_seconds = wait_seconds
        self._outcomes = outcomes
        self._waiting_max = waiting_max
        self._clock = clock
        self._metrics = metrics
        self._admitted = 0
        self._waiters: set[_Waiter] = set()
        self._wanted = asyncio.Event()
        metrics.applied_waiting.set_function(lambda: self._admitted)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """For who is going to wait: taken before anything is sent. Raises Overloaded."""
        if self._admitted >= self._waiting_max:
            self._metrics.refused.labels("waiting").inc()
            raise Overloaded(
                f"{self._waiting_max:,} requests wait for the stream already; nothing was sent. "
                "Ask again, or without `wait=applied`"
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def decided(self, events: Sequence[Accepted], placed: Sequence[Placed], gone: Awaitable[object]) -> bool:
        """Return once the stream has decided on all of them: True; or, when the bound is over or `gone` is: False."""
        offsets: dict[int, int] = {}
        for at in placed:
            offsets[at.partition] = max(at.offset, offsets.get(at.partition, 0))
        waiter = _Waiter(events[0].event.org_id, offsets, asyncio.Event())
        began = self._clock.monotonic()
        self._waiters.add(waiter)
        self._wanted.set()
        try:
            await _first(waiter.decided.wait(), gone, self.wait_seconds)
        finally:
            self._waiters.discard(waiter)
        self._metrics.applied_seconds.observe(self._clock.monotonic() - began)
        return waiter.decided.is_set()

    async def outcomes(
        self, events: Sequence[Accepted], placed: Sequence[Placed]
    ) -> tuple[list[Decided], ReadYourWrites]:
        """What became of each, in their order, and what to read by to see all of it. Raises DatabaseUnavailable."""
        places: dict[int, list[int]] = {}
        for place, event in enumerate(events):
            places.setdefault(event.event.org_id, []).append(place)
        at_once = asyncio.Semaphore(_ORGS_AT_ONCE)

        async def of_org(org_id: int, of: Sequence[int]) -> tuple[Sequence[Decided], ReadYourWrites]:
            sent = [_sent(events[place], placed[place]) for place in of]
            async with at_once:
                return await self._outcomes.of_records(org_id, sent)

        answers = await asyncio.gather(*(of_org(*each) for each in places.items()))
        found = {
            place: decided
            for of, (each, _) in zip(places.values(), answers, strict=True)
            for place, decided in zip(of, each, strict=True)
        }
        return [found[place] for place in range(len(events))], _latest([mark for _, mark in answers])

    async def run(self) -> None:
        """Look at the lanes while somebody waits. Ends by being cancelled."""
        while True:
            await self._wanted.wait()
            if not self._waiters:
                self._wanted.clear()
                continue
            await asyncio.sleep(await self._look())

    async def _look(self) -> float:
        """Tell whoever waits for what was decided; returns after how many seconds to look again."""
        asking = next(iter(self._waiters)).org_id
        try:
            positions = await self._outcomes.positions(asking)
        except PipelineError as error:
            log.warning("the lanes could not be looked at", error=str(error), waiting=len(self._waiters))
            return _LOOK_AGAIN_SECONDS
        self._metrics.applied_looks.inc()
        for waiter in self._waiters:
            if waiter.is_passed_by(positions):
                waiter.decided.set()
        return _LOOK_SECONDS


def _latest(marks: Sequence[ReadYourWrites]) -> ReadYourWrites:
    """The furthest one of the newest history: the primary may have changed in between."""
    latest = marks[0]
    for mark in marks[1:]:
        if is_past(latest.epoch, mark.epoch) or (latest.epoch == mark.epoch and latest.lsn < mark.lsn):
            latest = mark
    return latest


def _sent(event: Accepted, at: Placed) -> Sent:
    _, kind, id_ = event.key
    return Sent(at.partition, at.offset, kind, id_, event.event.version)


async def _first(one: Awaitable[object], other: Awaitable[object], seconds: float) -> None:
    """Return when one of them has, or after the bound; neither of them goes on then."""
    tasks = [asyncio.ensure_future(each) for each in (one, other)]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
