"""A worker's guards, in the real command: what goes through them, and what they do while a server is away."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import asyncpg
import pytest

import sql
from pipeline.cache.balances import BalanceCache, CachedBalance, Miss
from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.metrics import Metrics
from pipeline.settings import RedisSettings
from pipeline.stack import Endpoints, StackConfig
from pipeline.stack.config import PartName
from pipeline.stack.record import read
from pipeline.stack.stack import up
from pipeline.stack.temporary import reaped
from pipeline.storage.migrate import migrate
from tests.acceptance.test_membership import creations
from tests.conftest import MakeStream
from tests.support.starting import Start, spawned
from tests.support.stream import Stream, WorkerProcess, new_topics
from tests.support.waiting import until

# Small batches, so that there are many calls; short bounds and pauses, so that a server that hangs is found away soon.
SETTINGS: Final = {
    "BATCH_ROWS_MAX": "50",
    "BATCH_LANES_PER_WRITER": "1",
    "WORKER_BACKOFF_MAX_SECONDS": "1",
    "WORKER_SHUTDOWN_GRACE_SECONDS": "5",
    "REDIS_TIMEOUT_SECONDS": "0.5",
    "DATABASE_CONNECT_TIMEOUT_SECONDS": "1",
    "DATABASE_LOCK_TIMEOUT_SECONDS": "1",
    "DATABASE_TRANSACTION_TIMEOUT_SECONDS": "1",
}
# A circuit that is open for a second, a pause of a second, and a busy machine.
BACK_SECONDS_MAX: Final = 5.0
COMMITTED: Final = "folio_batch_rows_count"
PUBLISHED: Final = "folio_updates_published_total"
INVALIDATED: Final = "folio_floors_raised_total"
SUFFERING: Final = [signal.SIGKILL, signal.SIGSTOP]


@pytest.fixture
def start() -> Start:
    """As a shell starts them: forked ones share a lock with whoever waits for a server here."""
    return spawned


# --- what goes through them ---


async def test_every_effect_of_a_worker_goes_through_the_guard_of_its_part(make_stream: MakeStream) -> None:
    """Counted, each one: an effect past its guard would be missing."""
    stream = await make_stream(1, BATCH_ROWS_MAX="10", BATCH_LINGER_MS="0", BATCH_UNPUBLISHED_BATCHES_MAX="1000")
    await stream.send(creations(1, 1))
    with stream.worker(WORKER_CRASH_AT="committed") as killed:
        await killed.wait()
    with stream.worker() as worker:
        # What the first one has committed and told nobody of is read back: by each drain, and once more for nothing.
        await stream.wait_until_consumed(1)
        read_back = await counted(worker)
        assert (read_back[COMMITTED], read_back["kafka"], read_back["redis"]) == (0, 2, 1)
        assert 2 * 2 < read_back["postgres"] <= 2 * 2 + 2, "reads of the outbox, and marks that are saved"

        await stream.send(creations(100, 200))
        await stream.wait_until_consumed(201)
        applied = await counted(worker, since=read_back)
        batches = applied[COMMITTED]
        assert batches >= 20
        assert applied["kafka"] == 2 * batches, "updates, and heads of chains"
        assert applied["redis"] == batches
        assert batches < applied["postgres"] <= batches + 2, "commits, and marks that no batch came to carry"

        before = await counted(worker)
        await stream.send([(b"1", b"{")])
        await stream.wait_until_consumed(202)
        refused = await counted(worker, since=before)
        assert (refused[COMMITTED], refused["kafka"], refused["redis"]) == (1, 1, 0), "a dead letter"
        assert await worker.stop() == 0


async def counted(worker: WorkerProcess, since: Mapping[str, float] | None = None) -> dict[str, float]:
    """Guarded calls by part, and batches committed; since an earlier count. Asked once nothing moves any more."""
    found: dict[str, float] = {}
    while True:
        samples = worker.metrics()
        now = {
            part: sum(
                value
                for name, value in samples.items()
                if name.startswith("folio_guarded_calls_total") and f'part="{part}"' in name
            )
            for part in ("postgres", "redis", "kafka")
        }
        now[COMMITTED] = samples[COMMITTED]
        if now == found:
            return {name: value - (since or {}).get(name, 0) for name, value in now.items()}
        found = now
        await asyncio.sleep(1)  # longer than an idle writer waits with its marks


# --- a server of the test's own, away under load ---


@dataclass
class Own:
    """One server that the test may kill or stop; the others are those of all tests."""

    config: StackConfig
    part: PartName
    endpoints: Endpoints

    def strike(self, number: signal.Signals) -> None:
        """All of its processes, PostgreSQL's backends among them."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def bring_back(self, struck_by: signal.Signals) -> None:
        if struck_by is signal.SIGSTOP:
            self.strike(signal.SIGCONT)
        else:
            await asyncio.to_thread(up, self.config)

    def _processes(self) -> list[int]:
        record = read(self.config.directory)
        assert record is not None
        process = record.parts[self.part].process
        assert process is not None
        found = [process.pid]
        for pid in found:  # grows while it is read: children of children
            with contextlib.suppress(FileNotFoundError):
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found


@contextmanager
def own_server(part: PartName, stack: Endpoints, database: str, folder: Path) -> Iterator[Own]:
    """A server of the test's own instead of the one that all tests have."""
    others: dict[PartName, str] = {"postgres": database, "kafka": stack.kafka_bootstrap, "valkey": stack.redis_url}
    del others[part]
    config = StackConfig(folder / "own", others, preferred_ports={})
    with reaped(config):
        own = Own(config, part, up(config))
        try:
            yield own
        finally:
            with contextlib.suppress(ProcessLookupError):
                own.strike(signal.SIGCONT)


async def fed(own: Own, folder: Path) -> Stream:
    """A stream of that server and the others."""
    stream = Stream(own.endpoints, f"guards-{os.getpid()}-{time.monotonic_ns()}.", 2, folder, dict(SETTINGS), spawned)
    await new_topics(own.endpoints, stream.prefix, stream.lanes)
    return stream


@dataclass
class Load:
    """Sends until it is told to stop, each time to the end: what was sent is known."""

    stream: Stream
    sent: int = 0
    going: bool = True

    async def run(self) -> None:
        while self.going:
            await self.stream.send(creations(1 + self.sent, 50))
            self.sent += 50
            await asyncio.sleep(0.1)


@asynccontextmanager
async def under_load(load: Load) -> AsyncIterator[None]:
    """Some hundred records a second, until the end of the block."""
    sending = asyncio.create_task(load.run())
    try:
        yield
    finally:
        load.going = False
        await sending


class Watched:
    """A worker, by its metrics."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker

    def value(self, name: str) -> float:
        return self._worker.metrics().get(name, 0)

    def circuit(self, part: str) -> float:
        return self.value(f'folio_circuit_state{{part="{part}"}}')

    async def until_circuit(self, part: str, state: float, seconds: float = 30) -> None:
        async def so() -> bool:
            return self.circuit(part) == state

        await until(so, seconds)

    async def until_more(self, name: str, seconds: float) -> float:
        """Until a counter has grown; returns how long that took."""
        began, before = time.monotonic(), self.value(name)

        async def more() -> bool:
            return self.value(name) > before

        await until(more, seconds)
        return time.monotonic() - began


@pytest.mark.timeout(120)
@pytest.mark.parametrize("struck_by", SUFFERING)
async def test_a_cache_that_is_away_holds_nothing_back_and_is_right_afterwards(
    stack: Endpoints, database: str, tmp_path: Path, struck_by: signal.Signals
) -> None:
    with own_server("valkey", stack, database, tmp_path) as own:
        stream = await fed(own, tmp_path)
        load = Load(stream)
        with stream.worker() as worker:
            watched = Watched(worker)
            await worker.wait_for_log("lanes claimed")
            load.sent = 50
            await stream.send(creations(1, load.sent))
            await stream.wait_until_consumed(load.sent)
            assert await Reader(own).fill() > 0, "days are cached that go on changing"
            own.strike(struck_by)
            async with under_load(load):
                await watched.until_circuit("redis", 2)
                for name in (COMMITTED, PUBLISHED):
                    await watched.until_more(name, 10)
                await own.bring_back(struck_by)
                await watched.until_more(INVALIDATED, BACK_SECONDS_MAX)
                await watched.until_circuit("redis", 0, BACK_SECONDS_MAX)
            await stream.wait_until_consumed(load.sent)
            assert await Reader(own).stale() == []
            assert await worker.stop() == 0
        report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == load.sent


@pytest.mark.timeout(120)
@pytest.mark.parametrize("struck_by", SUFFERING)
async def test_a_database_that_is_away_is_left_alone_and_gone_on_with_at_once(
    stack: Endpoints, tmp_path: Path, struck_by: signal.Signals
) -> None:
    with own_server("postgres", stack, "", tmp_path) as own:
        await migrated(own.endpoints.database_url)
        stream = await fed(own, tmp_path)
        load = Load(stream)
        with stream.worker() as worker:
            watched = Watched(worker)
            await worker.wait_for_log("lanes claimed")
            async with under_load(load):
                await watched.until_more(COMMITTED, 30)
                own.strike(struck_by)
                await watched.until_circuit("postgres", 2)
                await own.bring_back(struck_by)
                await watched.until_more(COMMITTED, BACK_SECONDS_MAX)
                await watched.until_circuit("postgres", 0, BACK_SECONDS_MAX)
            await stream.wait_until_consumed(load.sent)
            assert await worker.stop() == 0
        report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == load.sent


@pytest.mark.timeout(120)
async def test_a_shutdown_while_circuits_are_open_ends_within_its_grace_and_loses_nothing(
    stack: Endpoints, tmp_path: Path
) -> None:
    with own_server("postgres", stack, "", tmp_path) as own:
        await migrated(own.endpoints.database_url)
        stream = await fed(own, tmp_path)
        load = Load(stream)
        with stream.worker() as worker:
            watched = Watched(worker)
            await worker.wait_for_log("lanes claimed")
            async with under_load(load):
                await watched.until_more(COMMITTED, 30)
                own.strike(signal.SIGKILL)
                await watched.until_circuit("postgres", 2)
                began = time.monotonic()
                assert await worker.stop() == 0
                assert time.monotonic() - began < float(SETTINGS["WORKER_SHUTDOWN_GRACE_SECONDS"]) + 2, worker.log
        await own.bring_back(signal.SIGKILL)
        with stream.worker() as heir:
            await stream.wait_until_consumed(load.sent)
            assert await heir.stop() == 0
        report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == load.sent


@pytest.mark.timeout(120)
async def test_a_broker_that_is_away_for_a_moment_is_waited_for_and_its_circuit_stands(
    stack: Endpoints, database: str, tmp_path: Path
) -> None:
    """Its client tries again by itself, for 20 s: a moment is no failure, and a refusal would make one of it."""
    with own_server("kafka", stack, database, tmp_path) as own:
        stream = await fed(own, tmp_path)
        with stream.worker() as worker:
            watched = Watched(worker)
            await worker.wait_for_log("lanes claimed")
            await stream.send(creations(1, 2_000))
            await watched.until_more(PUBLISHED, 30)
            own.strike(signal.SIGSTOP)
            await asyncio.sleep(3)
            await own.bring_back(signal.SIGSTOP)
            await stream.wait_until_consumed(2_000)
            assert watched.circuit("kafka") == 0
            assert watched.value('folio_circuit_transitions_total{part="kafka",state="open"}') == 0
            assert await worker.stop() == 0
        report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == 2_000


async def migrated(url: str) -> None:
    connection = await asyncpg.connect(url)
    await migrate(connection)
    await connection.close()


# --- who reads the cache ---


class Reader:
    """Reads days as an API does: from the cache, else from the books, and fills."""

    def __init__(self, own: Own) -> None:
        self._endpoints = own.endpoints

    async def fill(self) -> int:
        """Cache every day that there is; returns how many there are."""
        days = await self._days()
        async with self._cache() as cache:
            for epoch, key, day, version in days:
                found = await cache.get(epoch, key, day)
                if isinstance(found, Miss):
                    assert await cache.fill(found, CachedBalance(version, b"balance"))
        return len(days)

    async def stale(self) -> list[tuple[date, int]]:
        """Days of which something older than the books is cached."""
        found = []
        async with self._cache() as cache:
            for epoch, key, day, version in await self._days():
                cached = await cache.get(epoch, key, day)
                if isinstance(cached, CachedBalance) and cached.version < version:
                    found.append((day, cached.version))
        return found

    @asynccontextmanager
    async def _cache(self) -> AsyncIterator[BalanceCache]:
        async with contextlib.aclosing(new_redis(self._endpoints.redis_url, RedisSettings())) as redis:
            yield BalanceCache(redis, SystemClock(), Metrics(), value_ttl_seconds=600)

    async def _days(self) -> list[tuple[str, tuple[int, int], date, int]]:
        connection = await asyncpg.connect(self._endpoints.database_url)
        try:
            epoch = await connection.fetchval(sql.query("cluster_epoch"))
            rows = await connection.fetch(
                "SELECT org_id, property_id, balance_date, version FROM finance.daily_cash_balances_partitioned"
            )
        finally:
            await connection.close()
        return [(epoch, (row[0], row[1]), row[2], row[3]) for row in rows]
