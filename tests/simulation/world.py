"""One run: workers over servers in memory, a day of records, troubles, healing, and the verdict."""

import asyncio
import contextlib
import gc
import itertools
import random
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import Final
from unittest import mock
from uuid import UUID

from batchers import gathering
from consumers import fetching
from pipeline.app import Worker
from pipeline.cache import balances
from pipeline.cache.balances import BalanceCache, CachedBalance, Miss
from pipeline.errors import CacheUnavailable
from pipeline.metrics import Metrics
from pipeline.settings import BatchSettings, DatabaseSettings, KafkaSettings, Settings, WorkerSettings
from schemas.topics import CHAIN_HEADS, DEAD_LETTERS, REALTIME_UPDATES, Feed
from tests.simulation.broker import Broker
from tests.simulation.cache import Cache
from tests.simulation.clients import SimulatedClients
from tests.simulation.database import Database
from tests.simulation.faults import strike
from tests.simulation.loop import NothingLeftError, VirtualLoop
from tests.simulation.plan import BEGINNING, TROUBLED_SECONDS, Plan
from tests.simulation.process import Process, ProcessClock, Weather
from tests.simulation.proof import (
    reconciled,
    stale_entries,
    untold_letters,
    updates_told,
    waits_for_invalidation,
)

_HEALED_SECONDS_MAX: Final = 60.0  # by then everything is drained
_RESTART_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 10.0
_STOPPED_SECONDS_MAX: Final = _GRACE_SECONDS + _RESTART_SECONDS + 0.5
_SESSION_SECONDS: Final = 6.0
# As long as a server may remember a client that it does not hear of: one that was killed while it joined waits for
# another killed one to be evicted, is given lanes, and then has a session of its own; each is noticed within a second.
_LINGERING_SECONDS: Final = 2 * (_SESSION_SECONDS + 1)
# Instead of 50: how soon a paused partition is looked at again. What arrives is taken at once all the same, and
# looking was most of what a run cost.
_POLL_MS: Final = 500


class RunFailedError(Exception):
    """The run broke a promise; the message says which."""


@dataclass
class Verdict:
    """What came of a run."""

    seed: int
    failure: str | None
    fired: Counter[str]
    records: int
    updates: int
    virtual_seconds: float
    recovery_seconds: float
    digest: str  # of every call and every event of the run, with their instants: equal for equal runs
    history: list[str] = field(default_factory=list)


@dataclass
class _Slot:
    """A place for a worker: whoever has it, and whoever comes after."""

    number: int
    process: Process | None = None
    worker: Worker | None = None


class World:
    """Everything in memory, and nothing outside."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.history: list[str] = []
        self.weather = Weather(Random(plan.seed))
        topics = (*Feed, REALTIME_UPDATES, DEAD_LETTERS, CHAIN_HEADS)
        self.broker = Broker(self.loop, BEGINNING, topics, plan.lanes)
        self.database = Database(self.loop)
        self.cache = Cache(self.loop)
        self._fired: Counter[str] = Counter()
        self._slots = [_Slot(number) for number in range(plan.workers)]
        self._processes: list[Process] = []
        self._ending = False
        self._failures: list[str] = []
        self._digest = blake2b(digest_size=8)

    # --- what faults see ---

    def tell(self, what: str) -> None:
        """Add a line to the history."""
        self.note(what)
        self.history.append(f"{self.loop.elapsed:9.4f} {what}")

    def note(self, what: str) -> None:
        """Something that happened, for the digest alone."""
        self._digest.update(f"{self.loop.elapsed:.6f} {what}\n".encode())

    def fired(self, kind: str) -> None:
        self._fired[kind] += 1

    def process_of(self, slot: int) -> Process | None:
        """The process that has a worker's place now; None between two lives."""
        process = self._slots[slot % len(self._slots)].process
        return process if process is not None and not process.dead else None

    def stop_worker(self, slot: int) -> bool:
        """SIGTERM, if there is somebody to hear it."""
        worker = self._slots[slot % len(self._slots)].worker
        if worker is None or self.process_of(slot) is None:
            return False
        worker.stop()
        return True

    async def extra_worker(self, seconds: float) -> None:
        """One more worker, for a while."""
        slot = _Slot(len(self._slots))
        keeping = asyncio.create_task(self._live(slot))
        await asyncio.sleep(seconds)
        if slot.worker is not None:
            slot.worker.stop()
        await asyncio.wait([keeping], timeout=_STOPPED_SECONDS_MAX)
        if not keeping.done() and slot.process is not None and not slot.process.dead:
            self._failures.append(f"{slot.process.name} did not stop within {_STOPPED_SECONDS_MAX:g} s")
            slot.process.kill()

    # --- the run ---

    def run(self) -> Verdict:
        """From the first record to the verdict."""
        asyncio.set_event_loop(self.loop)
        failure, recovery = None, 0.0
        try:
            with _virtual_time(self.loop), _seeded(self.plan.seed):
                recovery = self.loop.run_until_complete(self._run())
        except (RunFailedError, NothingLeftError) as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001  # of the worker, or of the simulation: the seed must be told
            failure = f"{type(error).__name__}: {error}"
            self.tell("".join(traceback.format_exception(error)))
        finally:
            elapsed = self.loop.elapsed
            self._close()
        digest = self._digest.hexdigest()
        records, updates = len(self.plan.sendings), updates_told(self.broker)
        return Verdict(self.plan.seed, failure, self._fired, records, updates, elapsed, recovery, digest, self.history)

    async def _run(self) -> float:
        coordinating = asyncio.create_task(self.broker.group.coordinate())
        keeping = [asyncio.create_task(self._keep(slot)) for slot in self._slots]
        reading = [asyncio.create_task(self._read())]
        troubles = [asyncio.create_task(strike(self, fault)) for fault in self.plan.faults]
        await asyncio.gather(self._send(), *troubles)
        self._heal()
        recovery = await self._drained()
        await _ended(*reading)
        await self._stop_all(keeping)
        await _ended(coordinating)
        await self._judge()
        return recovery

    async def _send(self) -> None:
        for sending in self.plan.sendings:
            await asyncio.sleep(max(sending.at - self.loop.elapsed, 0))
            partition = self.broker.partition(sending.feed, sending.lane)
            self.broker.append(partition, sending.key, sending.value)
        await asyncio.sleep(max(TROUBLED_SECONDS - self.loop.elapsed, 0))

    def _heal(self) -> None:
        """What was armed and has not struck yet, does not strike any more."""
        self.tell("healed")
        self.database.errors.clear()
        for process in self._processes:
            process.lose_answers.clear()

    async def _keep(self, slot: _Slot) -> None:
        """Start another worker whenever one has ended, until the end."""
        while not self._ending:
            await self._live(slot)
            await asyncio.sleep(_RESTART_SECONDS)

    async def _live(self, slot: _Slot) -> None:
        """One worker, from its start to its end."""
        process = Process(f"worker {slot.number}.{len(self._processes)}", self.weather, self.tell, self.note)
        self._processes.append(process)
        settings = _settings(self.plan.rows_max, self.plan.lanes_per_writer)
        clients = SimulatedClients(settings, process, self.broker, self.database, self.cache)
        clock = ProcessClock(self.loop, process, BEGINNING)
        worker = Worker(settings, clients, name=process.name, clock=clock, reach=process.reach)
        slot.process, slot.worker = process, worker
        dead = asyncio.Event()
        process.on_death.append(dead.set)
        working = asyncio.create_task(worker.work())
        dying = asyncio.create_task(dead.wait())
        await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if not process.dead:
            error = working.exception()
            if error is not None:
                self._failures.append(f"{process.name} ended by itself: {error!r}")
                self.tell("".join(traceback.format_exception(error)))
            self.tell(f"{process.name} ended")
        slot.worker = None

    # --- after the troubles ---

    async def _drained(self) -> float:
        """Wait until everything is in the books and told; returns how long that took."""
        healed_at = self.loop.time()
        while (missing := self._missing()) is not None:
            if self.loop.time() - healed_at > _HEALED_SECONDS_MAX:
                raise RunFailedError(f"not drained {_HEALED_SECONDS_MAX:g} s after healing: {missing}")
            if self._failures:
                raise RunFailedError("; ".join(self._failures))
            await asyncio.sleep(0.5)
        return self.loop.time() - healed_at

    def _missing(self) -> str | None:
        """What is not done yet; None when everything is."""
        for feed, column in ((Feed.EVENTS, "finance_position"), (Feed.CORRECTIONS, "corrections_position")):
            for lane in range(self.plan.lanes):
                end = len(self.broker.logs[self.broker.partition(feed, lane)])
                row = self.database.tables["lanes"].get((lane,))
                if end and (row is None or row[column] != end):
                    return f"{feed}, lane {lane}: at {row[column] if row is not None else None} of {end}"
        waiting = len(self.database.tables["outbox"])
        return f"{waiting} rows of the outbox" if waiting else None

    async def _stop_all(self, keeping: list["asyncio.Task[None]"]) -> None:
        self._ending = True
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.stop()
        _, late = await asyncio.wait(keeping, timeout=_STOPPED_SECONDS_MAX)
        if late:
            raise RunFailedError(f"{len(late)} workers did not stop within {_STOPPED_SECONDS_MAX:g} s")
        if self._failures:
            raise RunFailedError("; ".join(self._failures))
        await asyncio.sleep(_LINGERING_SECONDS)
        if self.database.sessions:
            raise RunFailedError(f"{len(self.database.sessions)} connections were left open")
        if self.broker.group.members:
            raise RunFailedError(f"{len(self.broker.group.members)} members were left in the group")

    async def _judge(self) -> None:
        observer = Process("observer", Weather(Random(0)), self.tell)
        report = await reconciled(self.database, self.broker, observer)
        # Nothing here may be taken on trust: no record is one that a database would refuse.
        if report.exit_code or report.taken_on_trust:
            shown = "; ".join(str(each) for each in report.differences[:5])
            raise RunFailedError(f"{report.summary}: {shown}")
        self.tell(report.summary)
        # What was written counts too, not only what was called.
        self.note(repr(sorted(self.database.tables["outbox"].items())))
        self.note(repr([(at, log) for at, log in sorted(self.broker.logs.items())]))
        for problem in (*untold_letters(self.database, self.broker), *stale_entries(self.database, self.cache)):
            raise RunFailedError(problem)

    # --- readers of the cache ---

    async def _read(self) -> None:
        """Ask for days as an API would: the cache first, then the database, then fill. None may be behind a floor."""
        chance = Random(self.plan.seed + 1)
        process = Process("reader", self.weather, self.tell, self.note)
        clients = SimulatedClients(_settings(1, 0), process, self.broker, self.database, self.cache)
        clock = ProcessClock(self.loop, process, BEGINNING)
        cache = BalanceCache(clients.redis, clock, Metrics(), value_ttl_seconds=60)
        while True:
            await asyncio.sleep(chance.uniform(0.1, 1.2))
            days = list(self.database.tables["balances"])
            if days:
                org_id, property_id, day = chance.choice(days)
                with contextlib.suppress(CacheUnavailable):
                    await self._read_one(cache, (org_id, property_id), day)

    async def _read_one(self, cache: BalanceCache, key: tuple[int, int], day: date) -> None:
        epoch = self.database.epoch
        # What is committed and waits in no outbox has been invalidated.
        row = self.database.tables["balances"].get((*key, day))
        floor = row["version"] if row is not None and not waits_for_invalidation(self.database, (*key, day)) else 0
        found = await cache.get(epoch, key, day)
        if isinstance(found, CachedBalance):
            if found.version < floor:
                self._failures.append(f"a reader got version {found.version} of {key} {day}, below its floor {floor}")
            return
        assert isinstance(found, Miss)
        await asyncio.sleep(self.weather.way_seconds())
        row = self.database.tables["balances"].get((*key, day))
        if row is not None and self.database.epoch == epoch:
            await asyncio.sleep(self.weather.way_seconds())
            await cache.fill(found, CachedBalance(row["version"], b"balance"))

    def _close(self) -> None:
        """Nothing of this run is left to the next."""
        for process in self._processes:
            process.dead = process.buried = True
            process.thaw()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            self.loop.run_until_complete(asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5))
        asyncio.set_event_loop(None)
        self.loop.close()


@lru_cache(maxsize=64)
def _settings(rows_max: int, lanes_per_writer: int) -> Settings:
    """As short as the settings allow: a run lives for a minute."""
    return Settings(
        kafka=KafkaSettings(session_timeout_seconds=_SESSION_SECONDS),
        database=DatabaseSettings(
            lock_timeout_seconds=3, transaction_timeout_seconds=10, idle_in_transaction_timeout_seconds=5
        ),
        batch=BatchSettings(rows_max=rows_max, lanes_per_writer=lanes_per_writer, gathered_rows_max=60),
        worker=WorkerSettings(shutdown_grace_seconds=_GRACE_SECONDS, stall_seconds=20, backoff_max_seconds=2),
    )


@contextlib.contextmanager
def _virtual_time(loop: VirtualLoop) -> Iterator[None]:
    """What is read of the machine, its clocks and its chance, is the run's own within it."""
    numbers = itertools.count(1)

    def batch_id() -> UUID:
        return UUID(int=next(numbers))

    def nonce() -> str:
        return f"{next(numbers):016x}"

    with (
        mock.patch.object(gathering, "uuid7", batch_id),
        mock.patch.object(balances, "_nonce", nonce),
        mock.patch.object(time, "monotonic", loop.time),
        mock.patch.object(time, "perf_counter", loop.time),
        mock.patch.object(fetching, "_POLL_MS", _POLL_MS),
    ):
        yield


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Jitter of retries comes from the module's own generator."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


async def _ended(*tasks: "asyncio.Task[None]") -> None:
    """Cancel what goes on for ever. Raises what it had failed with before."""
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def simulate(plan: Plan) -> Verdict:
    """The whole run of a plan."""
    # What is left of killed workers must not be collected in the middle: collecting it runs their last blocks.
    gc.collect()
    gc.disable()
    try:
        return World(plan).run()
    finally:
        gc.enable()
