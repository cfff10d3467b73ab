"""Lanes that stand still until somebody resumes them: by an operator's order, or because the breaker has tripped.

The order is in the database, so that it outlives workers and rebalances. Whoever has the lane looks every two seconds,
and sees by the way whether the database is still the primary that our claims were made on, and how far the outbox of
the lane goes: a rebuild appends to it, and it is the lane's owner who publishes.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import asyncpg
import structlog

import sql
from consumers.primary import require_primary
from pipeline.errors import DatabaseUnavailable, OutcomeUnknown
from pipeline.metrics import Metrics
from schemas.lanes import Claim

Connected = Callable[[str], AbstractAsyncContextManager[asyncpg.Connection]]  # told what for
_PERIOD_SECONDS = 2.0
BREAKER = "the breaker"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pause:
    """Who has paused a lane, and why."""

    who: str
    reason: str


class Holds(Protocol):
    """What fetches, as far as it can be told to leave a lane alone."""

    def hold(self, lane: int) -> None: ...

    def release(self, lane: int) -> None: ...


class Told(Protocol):
    """What writes the lanes, as far as it is told what the database says of them."""

    def accept_poison(self, lane: int, until: datetime) -> None:
        """Let through what was appended until then."""
        ...

    def see_outbox(self, lane: int, head: int) -> None:
        """The lane's outbox goes up to `head`."""
        ...


class Pausing:
    """Keeps the lanes that are paused from being fetched, and lets those go on that are resumed."""

    def __init__(
        self,
        connected: Connected,
        paused: Mapping[int, Pause],
        lanes: Collection[int],
        primary: str | None,
        fetching: Holds,
        writers: Told,
        metrics: Metrics,
    ) -> None:
        self._connected = connected
        self._lanes = sorted(lanes)
        self._primary = primary  # that claims were made on; None where no lane was claimed
        self._fetching = fetching
        self._writers = writers
        self._metrics = metrics
        self._paused: set[int] = set()
        # Or what was read before the breaker tripped would release its lane.
        self._one_at_a_time = asyncio.Lock()
        for lane, pause in paused.items():
            self._hold(lane, pause)

    async def run(self) -> None:
        """Go on until cancelled. Raises FenceLost when another primary has taken over."""
        while True:
            await asyncio.sleep(_PERIOD_SECONDS)
            try:
                await self._look()
            except (DatabaseUnavailable, OutcomeUnknown) as error:
                log.warning("pauses not read", error=str(error))

    async def trip(self, claim: Claim, reason: str) -> None:
        """The breaker pauses a lane. Raises DatabaseUnavailable, FenceLost."""
        async with self._one_at_a_time, self._connected("pausing a lane") as connection:
            await require_primary(connection, claim.cluster_epoch)
            await connection.execute(sql.query("pause_lane"), claim.lane, BREAKER, reason, claim.epoch)
            self._hold(claim.lane, Pause(BREAKER, reason))

    async def _look(self) -> None:
        async with self._one_at_a_time, self._connected("reading pauses") as connection:
            # A batch sees by itself that another primary has taken over. A lane that had its last one needs to be told:
            # what the old primary committed last may be gone, and without a new claim nobody would read it again.
            if self._primary is not None:
                await require_primary(connection, self._primary)
            self._follow(await connection.fetch(sql.query("lane_pauses"), self._lanes))

    def _follow(self, rows: Sequence[asyncpg.Record]) -> None:
        for row in rows:
            lane, who = row["lane"], row["paused_by"]
            self._writers.see_outbox(lane, row["outbox_seq"])
            if who is None:
                self._writers.accept_poison(lane, row["poison_accepted_until"])
                self._release(lane)
            else:
                self._hold(lane, Pause(who, row["pause_reason"]))

    def _hold(self, lane: int, pause: Pause) -> None:
        if lane not in self._paused:
            log.warning("lane paused", lane=lane, who=pause.who, reason=pause.reason)
            self._paused.add(lane)
            self._fetching.hold(lane)
            self._metrics.lanes_paused.set(len(self._paused))

    def _release(self, lane: int) -> None:
        if lane in self._paused:
            log.info("lane resumed", lane=lane)
            self._paused.discard(lane)
            self._fetching.release(lane)
            self._metrics.lanes_paused.set(len(self._paused))
