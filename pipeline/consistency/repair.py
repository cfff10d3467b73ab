"""Making right what a check has found, in the order in which one thing follows from another, and checking it again.

Snapshots and transactions are rebuilt from the store, under the lock of their lanes. So are the days of a property
that has lost one: its versions are known to nobody, and only a rebuild can step over them. Every other day goes
through the topic: a `recompute` correction, which the stream's own worker applies, versions, publishes and records.
No balance is ever changed by a statement of ours.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.consistency.corrections import DayKey, Repairing, recompute, send, wait_until_applied
from pipeline.consistency.drifts import day_of_subject
from pipeline.consistency.job import Means, Tell
from pipeline.consistency.looking import look
from pipeline.consistency.recording import OpenDrift, open_drifts, record
from pipeline.consistency.scope import Scope
from pipeline.errors import StoreDamaged
from pipeline.producer import Producer
from pipeline.rebuild import job as rebuild
from pipeline.rebuild.balances import Update, mend_balances
from pipeline.rebuild.scope import Slice
from pipeline.rebuild.transactions import rebuild_transactions
from pipeline.storage.audit import audit
from schemas.instants import instant_of
from schemas.records import PropertyKey

# What a round holds in memory, sends and waits for; about as much as one batch of a worker.
DRIFTS_A_ROUND: Final = 5_000
# Properties of one step under the lanes' locks: with a month of days each, as much as a batch.
_PROPERTIES_A_STEP: Final = 50
_BOOKS: Final = frozenset({"snapshot", "transaction"})


@dataclass(slots=True)
class Repaired:
    """What a repair has done."""

    rebuilt: dict[str, int] = field(default_factory=dict)  # rows, by what they are called
    recomputed: int = 0  # days
    unapplied: int = 0  # corrections that no worker has applied in time
    left: int = 0  # drifts that stand open still

    def count(self, what: str, rows: int) -> None:
        if rows:
            self.rebuilt[what] = self.rebuilt.get(what, 0) + rows


@dataclass(frozen=True, slots=True)
class Tools:
    """What a repair works with, beside what a check does."""

    rebuilding: rebuild.Means
    producer: Producer
    topic_prefix: str


async def repair(means: Means, tools: Tools, repairing: Repairing, who: str, tell: Tell) -> Repaired:
    """Make right what stands open; each round is checked again, and what it mended is settled.

    Raises BrokerUnavailable, DatabaseUnavailable; the same command then goes on with what is left.
    """
    done = Repaired()
    async for drifts in _rounds(means):
        await _Round(means, tools, repairing, done, tell).mend(drifts)
        tell(
            f"repaired up to organisation {drifts[-1].org_id}: {done.recomputed:,} days recomputed, {done.left:,} left"
        )
    detail = {
        "job_id": str(repairing.job_id),
        "rebuilt": done.rebuilt,
        "recomputed": done.recomputed,
        "left": done.left,
    }
    await audit(means.operator, who, "check --repair", detail)
    return done


async def _rounds(means: Means) -> AsyncIterator[list[OpenDrift]]:
    """The open drifts of whole organisations, as many as are looked at again together."""
    after = 0
    while found := await open_drifts(means.operator, after, DRIFTS_A_ROUND):
        orgs = sorted({drift.org_id for drift in found})
        if len(found) == DRIFTS_A_ROUND and len(orgs) > 1:
            orgs.pop()  # the last one may go on behind what was read
        orgs = orgs[: means.settings.orgs_a_step]
        yield [drift for drift in found if drift.org_id <= orgs[-1]]
        after = orgs[-1]


class _Round:
    def __init__(self, means: Means, tools: Tools, repairing: Repairing, done: Repaired, tell: Tell) -> None:
        self._tell = tell
        self._damaged: set[int] = set()  # organisations whose stored bytes are not what they were
        self._means = means
        self._tools = tools
        self._repairing = repairing
        self._done = done

    async def mend(self, drifts: Sequence[OpenDrift]) -> None:
        # What is built from bytes that are not what they were would be wrong: these wait for somebody with a backup.
        for drift in drifts:
            if drift.kind == "event":
                self._leave(drift.org_id, f"{drift.subject}: its stored bytes are not what they were")
        in_books = {drift.org_id for drift in drifts if drift.kind in _BOOKS}
        await self._rebuild_books(sorted(in_books - self._damaged))
        days = [drift for drift in drifts if drift.kind == "balance" and drift.org_id not in self._damaged]
        lost = sorted({_day(drift)[:2] for drift in days if "missing" in drift.differs})
        await self._rebuild_balances(lost)
        await self._recompute([_day(drift) for drift in days if _day(drift)[:2] not in set(lost)])
        self._means.reach("check_mended")
        await self._check_again(sorted({drift.org_id for drift in drifts}))

    def _leave(self, org_id: int, why: str) -> None:
        self._damaged.add(org_id)
        self._tell(f"organisation {org_id} is left as it is: {why}")

    async def _rebuild_books(self, orgs: Sequence[int]) -> None:
        """Together; where one of them is damaged each by itself, so that its neighbours go on."""
        if not orgs:
            return
        tools = self._tools.rebuilding
        try:
            tally = await rebuild_transactions(tools.reading, tools.steps, Slice.of(orgs), tools.wanted)
        except StoreDamaged as error:
            if len(orgs) > 1:
                for org_id in orgs:
                    await self._rebuild_books([org_id])
                return
            self._leave(orgs[0], str(error))
            return
        for what, rows in tally.changed.items():
            self._done.count(what, rows)

    async def _rebuild_balances(self, keys: Sequence[PropertyKey]) -> None:
        tools = self._tools.rebuilding
        assert tools.steps is not None, "a repair is not a dry run"
        update = Update(tools.cluster_epoch, self._repairing.job_id)
        for start in range(0, len(keys), _PROPERTIES_A_STEP):
            some = keys[start : start + _PROPERTIES_A_STEP]
            self._done.count("balances", await mend_balances(tools.steps, some, update))

    async def _recompute(self, days: Sequence[DayKey]) -> None:
        # In the order of days: each opens with what the one before has become.
        corrections = [recompute(day, self._repairing) for day in sorted(days)]
        await send(self._tools.producer, self._tools.topic_prefix, corrections)
        self._means.reach("check_sent")
        seconds = self._means.settings.repair_wait_seconds
        self._done.recomputed += len(corrections)
        self._done.unapplied += await wait_until_applied(self._means.operator, corrections, seconds, self._means.clock)

    async def _check_again(self, orgs: Sequence[int]) -> None:
        means = self._means
        at = instant_of(means.clock.now())
        scope = Scope(orgs=orgs)
        found = await look(means.reading, scope, means.wanted, means.settings.drifts_max)
        async with means.operator.transaction():
            await record(means.operator, found, self._repairing.job_id, at, mended_by="repair")
        self._done.left += len(found.drifts)


def _day(drift: OpenDrift) -> DayKey:
    return drift.org_id, *day_of_subject(drift.subject)
