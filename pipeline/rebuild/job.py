"""A rebuild as a job: slice after slice, recorded in ops.jobs, so that the same command goes on where it was killed."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

import sql
from batchers.connection import Reach
from pipeline.errors import PipelineError, SettingsRefused
from pipeline.rebuild import reports
from pipeline.rebuild.balances import Update, rebuild_balances
from pipeline.rebuild.looking import Wanted
from pipeline.rebuild.scope import ORG_MAX, Part, Slice, Tally
from pipeline.rebuild.steps import Steps
from pipeline.rebuild.transactions import rebuild_transactions
from pipeline.rebuild.users import rebuild_users
from pipeline.storage.audit import audit
from schemas.instants import Instant, instant_of

# Each slice reads the whole store, which no index orders by organisation: fewer are cheaper. About 40 s of one snapshot
# of the database, which keeps vacuum from what has died since; a killed job loses no more.
EVENTS_A_SLICE: Final = 3_000_000
_BOOKS: Final = frozenset({Part.SNAPSHOTS, Part.TRANSACTIONS})
_FROM_THE_STORE: Final = _BOOKS | {Part.USERS}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be rebuilt: which parts, of one organisation or of all; reports only of what was recorded `since`."""

    parts: frozenset[Part]
    org: int | None = None
    since: datetime | None = None
    since_last: bool = False

    @property
    def kind(self) -> str:
        """What the job is called: one that was killed is taken up again by the same order."""
        names = "+".join(part for part in Part if part in self.parts)
        org = f" of organisation {self.org}" if self.org is not None else ""
        since = " since the last" if self.since_last else f" since {self.since.isoformat()}" if self.since else ""
        return f"rebuild {names}{org}{since}"

    @property
    def phases(self) -> list[str]:
        """What is done one after the other. Snapshots and transactions come from one look at the store."""
        phases = ["transactions"] if self.parts & _BOOKS else []
        return phases + [part.value for part in (Part.BALANCES, Part.USERS, Part.REPORTS) if part in self.parts]


class PhaseTally(msgspec.Struct):
    """What a phase has looked at and changed so far."""

    looked_at: int = 0
    changed: dict[str, int] = {}
    seconds: float = 0.0


class Progress(msgspec.Struct):
    """Where a job stands, as ops.jobs keeps it: in which phase, and which organisation was the last one done."""

    phase: int = 0
    after: int = 0
    tallies: dict[str, PhaseTally] = {}
    until: dict[int, Instant] = {}  # of reports: by lane, what they will know when they are done


@dataclass(frozen=True, slots=True)
class Hand:
    """What works on one slice at a time."""

    reading: asyncpg.Connection
    steps: Steps | None  # None: a dry run


@dataclass(frozen=True, slots=True)
class Means:
    """What a rebuild works with."""

    operator: asyncpg.Connection  # holds the lock on rebuilding, and writes the job
    hands: Sequence[Hand]  # at least one; each has a slice of its own
    wanted: Wanted
    cluster_epoch: str
    reach: Reach
    events_a_slice: int = EVENTS_A_SLICE

    @property
    def reading(self) -> asyncpg.Connection:
        """For what is asked between slices."""
        return self.hands[0].reading

    @property
    def steps(self) -> Steps | None:
        """For who mends what he has found himself, one step after the other."""
        return self.hands[0].steps

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be written."""
        return self.steps is None


async def require_alone(connection: asyncpg.Connection) -> None:
    """Raises SettingsRefused while somebody else rebuilds. Holds until the connection ends."""
    if not await connection.fetchval(sql.query("lock_rebuilds")):
        raise SettingsRefused(
            "another rebuild is running: wait for it, or end it; the same command then goes on with it"
        )


async def run(means: Means, order: Order, who: str, tell: Tell, *, restart: bool = False) -> Progress:
    """Do what was ordered, or go on with it; returns what was done, by all runs of the job together."""
    if order.parts & _FROM_THE_STORE and not means.wanted.whole_store:
        tell("months have left the store: what may have begun in one of them is left as it stands")
    if means.dry_run:
        return await _Job(means, order, None, Progress(), tell).run()
    job_id, progress = await _take_up(means.operator, order, who, tell, restart=restart)
    job = _Job(means, order, job_id, progress, tell)
    try:
        done = await job.run()
    except PipelineError as error:
        await job.record("failed", str(error))
        raise
    await job.record("done", None)
    return done


async def _take_up(
    connection: asyncpg.Connection, order: Order, who: str, tell: Tell, *, restart: bool
) -> tuple[UUID, Progress]:
    newest = await connection.fetchrow(sql.query("newest_job"), order.kind)
    async with connection.transaction():
        if newest is not None and newest["state"] != "done" and not restart:
            job_id = newest["job_id"]
            progress = msgspec.json.decode(newest["progress"], type=Progress)
            phase = order.phases[progress.phase]
            tell(f"going on with job {job_id}: {phase}, after organisation {progress.after}")
        else:
            job_id, progress = uuid7(), Progress()
            await connection.execute(sql.query("begin_job"), job_id, order.kind, _encoded(progress))
        await audit(
            connection, who, order.kind, {"job_id": str(job_id), "phase": progress.phase, "after": progress.after}
        )
    return job_id, progress


class _Job:
    """One run of a job."""

    def __init__(self, means: Means, order: Order, job_id: UUID | None, progress: Progress, tell: Tell) -> None:
        self._means = means
        self._order = order
        self._job_id = job_id
        self._progress = progress
        self._tell = tell

    async def run(self) -> Progress:
        phases = self._order.phases
        for self._progress.phase in range(self._progress.phase, len(phases)):  # noqa: B020  # where we stand is recorded
            await self._run_phase(phases[self._progress.phase])
        self._progress.phase = len(phases) - 1
        return self._progress

    async def record(self, state: str, error: str | None) -> None:
        """Let the database know where the job stands. In a dry run nobody is told."""
        if self._job_id is not None:
            encoded = _encoded(self._progress)
            await self._means.operator.execute(sql.query("record_job"), self._job_id, state, encoded, error)
            self._means.reach("rebuild_recorded")

    async def _run_phase(self, phase: str) -> None:
        if phase == Part.REPORTS:
            await self._begin_reports()
        slices = await self._slices(phase)
        hands = self._means.hands
        for start in range(0, len(slices), len(hands)):
            some = slices[start : start + len(hands)]
            started = time.perf_counter()
            done = await self._of_slices(phase, some)
            self._count(phase, done, time.perf_counter() - started)
            self._progress.after = some[-1].upto
            await self.record("running", None)
            self._tell(self._line(phase, some[-1].upto))
        if phase == Part.REPORTS:
            await self._end_reports()
        self._progress.after = 0

    async def _slices(self, phase: str) -> list[Slice]:
        """What is left of the phase, ascending."""
        after = self._progress.after
        if self._order.org is not None:
            return [Slice.of([self._order.org])] if after < self._order.org else []
        if phase == Part.REPORTS and (self._order.since is not None or self._order.since_last):
            return [Slice()] if after < ORG_MAX else []
        return [Slice(*ends) for ends in pairwise([after, *await _cuts(self._means, after)])]

    async def _of_slices(self, phase: str, slices: Sequence[Slice]) -> list[Tally]:
        """Each by a hand of its own: one reads or sorts while another one folds."""
        try:
            async with asyncio.TaskGroup() as tasks:
                doing = [
                    tasks.create_task(self._of_slice(phase, slice_, hand))
                    for slice_, hand in zip(slices, self._means.hands, strict=False)
                ]
        except BaseExceptionGroup as group:
            raise _first(group) from group
        return [task.result() for task in doing]

    async def _of_slice(self, phase: str, slice_: Slice, hand: Hand) -> Tally:
        if phase == Part.BALANCES:
            update = Update(self._means.cluster_epoch, self._job_id or UUID(int=0))
            return await rebuild_balances(hand.reading, hand.steps, slice_, update)
        if phase == Part.USERS:
            return await rebuild_users(hand.reading, hand.steps, slice_, self._means.wanted)
        if phase == Part.REPORTS:
            return await self._reports_of(slice_, hand.reading)
        return await rebuild_transactions(hand.reading, hand.steps, slice_, self._means.wanted)

    # --- reports ---

    async def _begin_reports(self) -> None:
        if not self._progress.until:
            self._progress.until = await reports.watermarks(self._means.reading)

    async def _reports_of(self, slice_: Slice, reading: asyncpg.Connection) -> Tally:
        if self._order.since_last:
            known = await reports.refreshed_until(reading)
        elif self._order.since is not None:
            known = dict.fromkeys(self._progress.until, instant_of(self._order.since))
        else:
            return await reports.rebuild_reports(reading, slice_)
        touched = await reports.touched_since(reading, known)
        if self._order.org is not None:
            touched = {org: day for org, day in touched.items() if org == self._order.org}
        return await reports.refresh_reports(reading, touched)

    async def _end_reports(self) -> None:
        """What was made anew for all organisations is known from now on; what was asked for in part is not."""
        if self._order.org is None and self._order.since is None:
            await reports.note_refresh(self._means.reading, self._progress.until)

    # --- what is told ---

    def _count(self, phase: str, done: Sequence[Tally], seconds: float) -> None:
        tally = self._progress.tallies.setdefault(phase, PhaseTally())
        tally.seconds += seconds
        for each in done:
            tally.looked_at += each.looked_at
            for what, rows in each.changed.items():
                tally.changed[what] = tally.changed.get(what, 0) + rows

    def _line(self, phase: str, last: int) -> str:
        tally = self._progress.tallies[phase]
        upto = "all organisations" if last == ORG_MAX else f"organisations up to {last}"
        rate = tally.looked_at / tally.seconds if tally.seconds else 0
        return f"{phase}: {upto}, {tally.looked_at:,} looked at ({rate:,.0f}/s), {changed(tally.changed)}"


def changed(counts: Mapping[str, int]) -> str:
    """What was changed, in words."""
    return ", ".join(f"{rows:,} {what}" for what, rows in sorted(counts.items())) or "nothing to change"


async def _cuts(means: Means, after: int) -> Sequence[int]:
    """Where slices end; the last one has whatever lies behind, also of organisations without a stored event."""
    if after == ORG_MAX:
        return []
    arguments = after, means.events_a_slice, len(means.hands)
    cuts = [row["upto"] for row in await means.reading.fetch(sql.query("rebuild_slices"), *arguments)]
    return [*cuts[:-1], ORG_MAX]


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the group. Whoever else failed then, failed beside it."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _encoded(progress: Progress) -> str:
    return msgspec.json.encode(progress).decode()
