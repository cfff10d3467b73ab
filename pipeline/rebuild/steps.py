"""Bounded transactions under the locks that every writer takes: a batch waits for one no longer than for a batch."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import asyncpg
import stamina

import sql
from batchers.connection import Reach, WritingConnection
from batchers.fence import LockedLane, lock_lanes
from batchers.gate import Gate
from pipeline.clock import Clock
from pipeline.errors import BatchRejected, DatabaseUnavailable, NotAsked, OutcomeUnknown
from schemas.routing import home_lane

# Some 0.05 s under the locks (docs/rebuild.md), as long as a batch of a worker holds them.
ROWS_A_STEP: Final = 1_000
# A step that loses the race for its locks, or whose COMMIT was lost, is worth some more tries; then somebody must look.
_ATTEMPTS_MAX: Final = 10
_PAUSE_MAX_SECONDS: Final = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Locked:
    """An open transaction that holds the home lanes of some organisations."""

    connection: asyncpg.Connection
    lanes: Mapping[int, LockedLane]
    lane_count: int
    again: bool  # an earlier try may have been committed

    def home(self, org_id: int) -> LockedLane:
        """The home lane of an organisation of the step."""
        return self.lanes[home_lane(org_id, self.lane_count)]


Work = Callable[[Locked], Awaitable[T]]


class Steps:
    """Runs steps over one connection, one after the other."""

    def __init__(self, writing: WritingConnection, database: Gate, lane_count: int, clock: Clock, reach: Reach) -> None:
        self.clock = clock
        self._database = database
        self._writing = writing
        self._lane_count = lane_count
        self._reach = reach

    async def run(self, orgs: Iterable[int], work: Work[T]) -> T:
        """Lock the home lanes of these organisations in one ascending pass, do the work, commit.

        That shuts out every writer of theirs: each batch locks the home lanes of its organisations too, by whichever
        lane their records come. The work may be done again. Raises FenceLost when another primary has taken over,
        DatabaseUnavailable, OutcomeUnknown and NotAsked after some tries.
        """
        homes = {home_lane(org_id, self._lane_count) for org_id in orgs}
        retries = stamina.retry_context(
            # A refusal takes an attempt, and its whole pause: the tries together last as long with one as without.
            on=(DatabaseUnavailable, OutcomeUnknown, BatchRejected, NotAsked),
            attempts=_ATTEMPTS_MAX,
            timeout=None,
            wait_max=_PAUSE_MAX_SECONDS,
        ).with_name("rebuild", (), {})
        async for attempt in retries:
            with attempt:
                done = await self._database.call_once(partial(self._once, homes, work, again=attempt.num > 1))
        return done

    async def _once(self, homes: Iterable[int], work: Work[T], *, again: bool) -> T:
        async with self._writing.transaction() as connection:
            lanes = await lock_lanes(connection, homes)
            self._reach("rebuild_locked")
            done = await work(Locked(connection, lanes, self._lane_count, again))
            await self._require_lanes(connection)
            self._reach("rebuild_written")
        self._reach("rebuild_committed")
        return done

    async def _require_lanes(self, connection: asyncpg.Connection) -> None:
        """Lanes that were made meanwhile were not locked, and organisations have moved to them."""
        if await connection.fetchval(sql.query("count_lanes")) != self._lane_count:
            raise DatabaseUnavailable("lanes were added meanwhile: run the rebuild again")
