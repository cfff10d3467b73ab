"""A check as a job: scope after scope, recorded in ops.jobs, so that the same command goes on where it was killed."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

import sql
from batchers.connection import Reach
from pipeline.clock import Clock
from pipeline.consistency.looking import look
from pipeline.consistency.recording import record
from pipeline.consistency.scope import Scope, slices_for
from pipeline.errors import PipelineError, SettingsRefused
from pipeline.rebuild.looking import Wanted
from pipeline.settings import ConsistencySettings
from pipeline.storage.audit import audit
from schemas.instants import UNIX_OFFSET, Instant, instant_of

# Each step of organisations reads the store from end to end: of more than these, everything is sieved in less time.
ORGS_MAX: Final = 10_000
_NOTHING_RECORDED: Final = -UNIX_OFFSET  # 1970: of a lane that nothing came by yet
_FULL: Final = "check full"
_EVERY_BYTE: Final = "check every byte"
_CHANGES: Final = "check changes"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be checked: all of it, one organisation, what was recorded `since`, or else since the last check."""

    full: bool = False
    every_byte: bool = False  # of all: by the stored bytes, and not only where sums do not agree
    org: int | None = None
    since: datetime | None = None

    @property
    def kind(self) -> str:
        """What the job is called: one that was killed is taken up again by the same order."""
        if self.org is not None:
            return f"check organisation {self.org}"
        if self.every_byte:
            return _EVERY_BYTE
        if self.full:
            return _FULL
        return _CHANGES if self.since is None else f"check since {self.since.isoformat()}"


class Progress(msgspec.Struct):
    """Where a check stands, as ops.jobs keeps it."""

    began_at: Instant = 0
    since: dict[int, Instant] | None = None  # by lane what is known to be checked; None: everything is looked at
    until: dict[int, Instant] = {}  # by lane what stood in the tables when the check began: the next one's `since`
    slices: int | None = None
    slices_done: int = 0
    after: int = 0  # the last organisation done
    transactions: int = 0
    drifts: dict[str, int] = {}
    seconds: float = 0.0
    whole: bool = True  # False: there may be more drifts than are recorded


@dataclass(frozen=True, slots=True)
class Means:
    """What a check works with."""

    operator: asyncpg.Connection  # holds the lock on checking, and writes job and drifts
    reading: asyncpg.Connection
    wanted: Wanted
    settings: ConsistencySettings
    clock: Clock
    reach: Reach


async def require_alone(connection: asyncpg.Connection) -> None:
    """Raises SettingsRefused while somebody else checks. Holds until the connection ends."""
    if not await connection.fetchval(sql.query("lock_checks")):
        raise SettingsRefused("another check is running: wait for it, or end it; the same command then goes on with it")


async def run(means: Means, order: Order, who: str, tell: Tell, *, restart: bool = False) -> tuple[UUID, Progress]:
    """Check what was ordered, or go on with it; the job, and what all runs of it together have found."""
    job_id, progress = await _take_up(means, order, who, tell, restart=restart)
    job = _Job(means, order, job_id, progress, tell)
    try:
        await job.run()
    except PipelineError as error:
        await job.save("failed", str(error))
        raise
    await job.save("done", None)
    return job_id, progress


async def _take_up(means: Means, order: Order, who: str, tell: Tell, *, restart: bool) -> tuple[UUID, Progress]:
    newest = await means.operator.fetchrow(sql.query("newest_job"), order.kind)
    async with means.operator.transaction():
        if newest is not None and newest["state"] != "done" and not restart:
            job_id: UUID = newest["job_id"]
            progress = msgspec.json.decode(newest["progress"], type=Progress)
            tell(f"going on with job {job_id}")
        else:
            job_id, progress = uuid7(), await _begin(means, order)
            await means.operator.execute(sql.query("begin_job"), job_id, order.kind, _encoded(progress))
        await audit(means.operator, who, order.kind, {"job_id": str(job_id)})
    return job_id, progress


async def _begin(means: Means, order: Order) -> Progress:
    # What stands in the tables now is seen by every look that comes after; what is recorded later has later instants in
    # its lane (batchers.fence). Taken at the end it would pass over what was recorded behind looks already taken.
    until = await watermarks(means.reading)
    progress = Progress(began_at=instant_of(means.clock.now()), until=until)
    if order.org is not None:
        return progress
    if order.since is not None:
        progress.since = dict.fromkeys(until, instant_of(order.since))
    elif not order.full and not order.every_byte:
        progress.since = await _checked_until(means.operator, until)
    if progress.since is None:
        progress.slices = await _slices(means)
    return progress


async def watermarks(connection: asyncpg.Connection) -> dict[int, Instant]:
    """By lane the instant up to which everything is in the tables: what comes later is recorded later."""
    return {row[0]: row[1] for row in await connection.fetch(sql.query("rebuild_watermarks"))}


async def _checked_until(connection: asyncpg.Connection, lanes: Mapping[int, Instant]) -> dict[int, Instant] | None:
    """By lane what the last finished check has seen; None before the first, and after one that was cut short.

    What that one has left may be anywhere: to go on from it, or from one before it, would pass over drifts.
    """
    newest = await connection.fetchval(sql.query("newest_check"))
    if newest is None or not (progress := msgspec.json.decode(newest, type=Progress)).whole:
        return None
    return {lane: progress.until.get(lane, _NOTHING_RECORDED) for lane in lanes}


async def _slices(means: Means) -> int:
    transactions = await means.reading.fetchval(sql.query("estimate_transactions"))
    return slices_for(transactions, means.settings.slice_transactions_max)


class _Job:
    """One run of a job."""

    def __init__(self, means: Means, order: Order, job_id: UUID, progress: Progress, tell: Tell) -> None:
        self._means = means
        self._order = order
        self._job_id = job_id
        self._progress = progress
        self._tell = tell

    async def run(self) -> None:
        async for scope in self._scopes():
            await self._check(scope)

    async def save(self, state: str, error: str | None) -> None:
        """Let the database know where the job stands."""
        await self._means.operator.execute(
            sql.query("record_job"), self._job_id, state, _encoded(self._progress), error
        )

    async def _scopes(self) -> AsyncIterator[Scope]:
        progress = self._progress
        if self._order.org is not None:
            yield Scope(orgs=[self._order.org])
            return
        if progress.since is not None and progress.slices is None:
            orgs = await orgs_recorded_since(self._means.reading, progress.since)
            if len(orgs) <= ORGS_MAX:
                step = self._means.settings.orgs_a_step
                left = [org_id for org_id in orgs if org_id > progress.after]
                for start in range(0, len(left), step):
                    yield Scope(orgs=left[start : start + step])
                return
            progress.slices = await _slices(self._means)
        assert progress.slices is not None, "all organisations are looked at in slices"
        for number in range(progress.slices_done, progress.slices):
            yield Scope(progress.slices, number)

    async def _check(self, scope: Scope) -> None:
        means, progress = self._means, self._progress
        started = time.perf_counter()
        at = instant_of(means.clock.now())
        most, every_byte = means.settings.drifts_max, self._order.every_byte
        found = await look(means.reading, scope, means.wanted, most, every_byte=every_byte)
        means.reach("check_looked")
        progress.seconds += time.perf_counter() - started
        progress.transactions += found.transactions
        progress.whole &= found.whole
        if scope.orgs is not None:
            progress.after = scope.orgs[-1]
        else:
            progress.slices_done += 1
        async with means.operator.transaction():
            counts = await record(means.operator, found, self._job_id, at, mended_by="not found any more")
            for kind, count in counts.items():
                progress.drifts[kind] = progress.drifts.get(kind, 0) + count
            await self.save("running", None)
        means.reach("check_recorded")
        self._tell(self._line(scope))

    def _line(self, scope: Scope) -> str:
        progress = self._progress
        rate = progress.transactions / progress.seconds if progress.seconds else 0
        return (
            f"{scope}: {progress.transactions:,} transactions ({rate:,.0f}/s), {sum(progress.drifts.values()):,} drifts"
        )


async def orgs_recorded_since(connection: asyncpg.Connection, since: Mapping[int, Instant]) -> list[int]:
    """Organisations of which something was recorded since, or whose drifts stand open: ascending, and no more than one
    above ORGS_MAX.
    """
    # A lane that nothing ever came by would make all months be read. Its first events are not older than others' last.
    least = min((at for at in since.values() if at > _NOTHING_RECORDED), default=_NOTHING_RECORDED)
    query = sql.query("orgs_recorded_since")
    rows = await connection.fetch(query, list(since), list(since.values()), least, ORGS_MAX + 1)
    return [row[0] for row in rows]


def _encoded(progress: Progress) -> str:
    return msgspec.json.encode(progress).decode()
