"""serve: `folio serve` under load: balances read, updates followed, connections that idle, break and come back."""

import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

from bench.draining import ready
from bench.form import Form
from bench.live.rigging import rigged
from bench.live.stepping import Rig, Step
from bench.live.telling import accounts_table, cpu_table, latency_table, notes, stated
from bench.progress import Progress
from bench.proving import prove
from bench.results import Figure, ScenarioResult, Table
from bench.serve import reading, telling
from bench.serve.asking import Client, Read
from bench.serve.issuing import Issuer
from bench.serve.mixing import every_place
from bench.serve.outages import Outage, publishable, survive, until_booked
from bench.serve.reading import COLD_PER_SECOND, READS_PER_EVENT, READS_PER_SECOND, WRITES_PER_SECOND, Capacity, Reads
from bench.serve.realtime import Followed, Idle, Resumed, followed, idle, resumed
from bench.serve.replicas import replica
from bench.serve.server import Server, precedence, served
from bench.target import Ground, Target
from bench.workload import Workload, mixed
from pipeline.stack.config import PartName

_TITLE: Final = "balances read over HTTP and followed over WebSockets, beside live writes"
_ORGS: Final = 5_000
# A step of load lasts so much longer than what goes on beside it.
_LONGER_SECONDS: Final = 2.0
_OUTAGE_WARM_SECONDS: Final = 3.0
_KILLED: Final[tuple[PartName, ...]] = ("valkey", "replica1", "kafka")
_EVENTS_MAX: Final = 20_000_000  # as long as all of it lasts; made as they are sent


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long each part lasts, in seconds, and how many take part."""

    capacity: float
    reads_warm: float  # the first seconds of a load are not those of its hours
    reads: float
    cold: float
    mix_warm: float
    mix: float
    realtime: float
    resume: float
    outage: float
    past_days: int
    warm: float = 3.0
    subscribers: int = 5_000
    idle: int = 10_000
    returning: int = 50
    drops: int = 100


_SHORT: Final = Lengths(
    capacity=3,
    reads_warm=6,
    reads=8,
    cold=3,
    mix_warm=16,
    mix=8,
    realtime=8,
    resume=14,
    outage=4,
    past_days=1,
    idle=5_000,
)
_FULL: Final = Lengths(
    capacity=15, reads_warm=20, reads=60, cold=20, mix_warm=120, mix=60, realtime=30, resume=40, outage=15, past_days=7
)
_RESUME_RATE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured. `reads` and `steps`: by what it was."""

    capacity: Capacity
    reads: dict[str, Reads]
    followed: Followed
    idle: Idle
    resumed: Resumed
    outages: Sequence[Outage]
    steps: dict[str, list[Step]]


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """One round, on one set of books; they are proved in the end."""
    began = time.monotonic()
    lengths = _FULL if form.full else _SHORT
    history = mixed(0, orgs=form.orgs or _ORGS, properties_loaded=True)
    # The day before all those that the mix reads is read for the first time by the cold reads.
    history = replace(history, name="serve", history_days=lengths.past_days + 1, history_density=1.0)
    stream, template = await ready(target, history, form.workers)
    ground = await target.reset(stream, template)
    booked = history.orgs * history.properties_per_org * history.history_days
    workload = replace(history, events=_EVENTS_MAX, history_days=0, first_transaction_id=booked + 1, seed=2)
    with tempfile.TemporaryDirectory(prefix="folio-bench-serve-") as folder:
        async with rigged(target, ground, workload, form.workers) as rig:
            ours = _Ours(target, ground, workload, rig, Path(folder), lengths, progress)
            found = await ours.measured()
            made = rig.generator.made()
            progress.say("serve: until all is booked")
            await until_booked(ground)
    progress.say("serve: proving the books")
    proof = await prove(ground)
    return ScenarioResult(
        name="serve",
        title=_TITLE,
        workload=stated(workload, made),
        figures=figures(found),
        tables=_tables(found),
        proof=proof,
        notes=[*notes(), precedence(), *telling.notes(lengths.past_days), *_notes(target)],
        parameters={"workers": form.workers, "subscribers": lengths.subscribers, "idle sockets": lengths.idle},
        seconds=time.monotonic() - began,
    )


@dataclass(frozen=True, slots=True)
class _Ours:
    """What the parts of the scenario work with."""

    target: Target
    ground: Ground
    workload: Workload
    rig: Rig
    folder: Path
    lengths: Lengths
    progress: Progress
    issuer: Issuer = field(default_factory=Issuer)

    async def measured(self) -> Found:
        lengths, steps = self.lengths, dict[str, list[Step]]()
        await self.rig.step(WRITES_PER_SECOND, lengths.warm)
        async with self._served() as server:
            with Client(self.issuer, server.port) as client:
                self.progress.say("serve: as many reads as one process answers")
                capacity = await reading.capacity(client, server, self.workload, lengths.capacity)
                reads = await self._reads(client, server, steps)
            self.progress.say(f"serve: {lengths.subscribers:,} subscribers beside {WRITES_PER_SECOND:,} events/s")
            orgs = self._orgs(lengths.subscribers)
            following = await followed(
                self.rig, self.ground, server, orgs, self.workload.today, WRITES_PER_SECOND, lengths.realtime
            )
            steps["beside subscribers"] = [following.step]
        async with self._served() as server:
            self.progress.say(f"serve: {lengths.idle:,} sockets that idle")
            idling = await idle(server, self._orgs(lengths.idle))
        async with self._served() as server:
            self.progress.say(f"serve: {lengths.drops} connections break, and the server ends twice")
            orgs = self._orgs(lengths.returning)
            returning = await resumed(self.rig, self.ground, server, orgs, lengths.drops, _RESUME_RATE, lengths.resume)
            steps["beside returning subscribers"] = [returning.step]
        return Found(capacity, reads, following, idling, returning, await self._outages(), steps)

    def _served(self) -> AbstractAsyncContextManager[Server]:
        return served(self.ground, self.issuer, self.folder)

    def _orgs(self, count: int) -> list[int]:
        """One after the other, so that each subscriber has an organisation that trades, and as few share one as can."""
        return [1 + number % self.workload.orgs for number in range(count)]

    async def _reads(self, client: Client, server: Server, steps: dict[str, list[Step]]) -> dict[str, Reads]:
        """The mix first, which warms the cache; cold reads last, for they fill it with what nobody asks for again."""
        lengths, found = self.lengths, dict[str, Reads]()
        places = reading.mix(self.workload, lengths.past_days).places()

        async def mixed_reads() -> Reads:
            for seconds in (lengths.mix_warm, lengths.mix):
                last = await reading.reads(client, server, reading.mixed_reads(places, READS_PER_SECOND, seconds))
            return last

        self.progress.say("serve: a realistic mix")
        found["mix"] = await self._beside(
            "the mix", READS_PER_SECOND / READS_PER_EVENT, lengths.mix_warm + lengths.mix, mixed_reads, steps
        )
        never_read = every_place(self.workload, back=lengths.past_days + 1)
        orders = {
            "first_reads": reading.mixed_reads(places, READS_PER_SECOND, lengths.reads_warm),
            "reads": reading.mixed_reads(places, READS_PER_SECOND, lengths.reads),
            "cold": Read(list(islice(never_read, round(lengths.cold * COLD_PER_SECOND))), COLD_PER_SECOND),
        }

        async def one_after_the_other() -> Reads:
            for name, order in orders.items():
                found[name] = await reading.reads(client, server, order)
            return found[name]

        self.progress.say(f"serve: reads beside {WRITES_PER_SECOND:,} events/s")
        seconds = lengths.reads_warm + lengths.reads + lengths.cold + len(orders)  # each is prepared first
        await self._beside("reads", WRITES_PER_SECOND, seconds, one_after_the_other, steps)
        return found

    async def _beside(
        self, name: str, rate: float, seconds: float, work: Callable[[], Awaitable[Reads]], steps: dict[str, list[Step]]
    ) -> Reads:
        found, step, _ = await reading.beside(self.rig, rate, seconds + _LONGER_SECONDS, work)
        steps[f"beside {name}"] = [step]
        return found

    async def _outages(self) -> list[Outage]:
        """Only of servers that are ours to kill. The broker last: everything else stands on it."""
        if self.target.directory is None:
            return []
        self.progress.say("serve: a replica is made")
        places, events = reading.mix(self.workload, self.lengths.past_days).places(), publishable(self.workload)
        found = []
        async with (
            replica(self.target.directory, self.ground) as (config, replicas),
            served(self.ground, self.issuer, self.folder, REPLICA_URLS=replicas) as server,
        ):
            with (
                Client(self.issuer, server.port) as reads,
                Client(self.issuer, server.port) as publishes,
                Client(self.issuer, server.port) as reports,
            ):
                await reads.ask(reading.mixed_reads(places, READS_PER_SECOND, _OUTAGE_WARM_SECONDS))
                for part in _KILLED:
                    self.progress.say(f"serve: {part} is killed")
                    clients = (reads, publishes, reports)
                    found.append(await survive(config, part, self.lengths.outage, clients, places, events))
        return found


def figures(found: Found) -> list[Figure]:
    """What the targets ask for, and what they are to be understood by."""
    made = [*telling.capacity_figures(found.capacity)]
    for name, each in found.reads.items():
        made += telling.read_figures(name, each)
    made += telling.realtime_figures(found.followed)
    made += telling.idle_figures(found.idle)
    made += telling.resume_figures(found.resumed)
    return made + telling.outage_figures(found.outages)


def _tables(found: Found) -> list[Table]:
    return [
        telling.reads_table(found.reads),
        telling.realtime_table({"beside the load": found.followed.agreed, "broken off": found.resumed.agreed}),
        telling.outage_table(found.outages),
        latency_table(found.steps),
        cpu_table(found.steps),
        accounts_table(found.steps),
    ]


def _notes(target: Target) -> list[str]:
    return [] if target.local else ["Missing: outages need servers that are ours to kill."]
