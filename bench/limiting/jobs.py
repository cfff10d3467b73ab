"""What the processes of a crew do: fetch and judge alone, feed the books from memory, or commit stage by stage."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest
from typing import Any, cast

import asyncpg
import uvloop

from batchers.books import Books, BooksSettings, Committed
from batchers.invalidator import Invalidator
from batchers.outbox import Marks
from batchers.publisher import Publisher
from bench.limiting.clocks import StageClock, cpu_seconds
from bench.limiting.crew import Done
from bench.limiting.metering import BOOKS, FETCH, FETCHING, INVALIDATE, PUBLISH, TRANSACTION, MeteredConnection, metered
from bench.limiting.recording import NAME, Receives, fetch_all, record, source
from pipeline import settings as settings_module
from pipeline.app import property_defaults
from pipeline.cache.balances import BalanceCache
from pipeline.cache.client import new_redis
from pipeline.cli.run import collect_rarely
from pipeline.clock import SystemClock
from pipeline.crash import crash_point
from pipeline.endpoints import resolve
from pipeline.metrics import Metrics
from pipeline.producer import new_producer
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import worker_guards
from pipeline.settings import Settings
from pipeline.storage.connect import connect_writer
from schemas.lanes import Batch, Claim
from schemas.topics import REALTIME_UPDATES

Groups = Sequence[Sequence[int]]
Wait = Callable[[], None]


def fetch(environment: dict[str, str], groups: Groups, wait: Wait) -> Done:
    """Fetch and judge all events of the lanes, and drop them."""
    return _run(_fetch(settings_module.load(environment), groups, wait))


def feed(environment: dict[str, str], groups: Groups, wait: Wait) -> Done:
    """Bring recorded batches to the books, each group of lanes by a connection of its own, all at once."""
    return _run(_feed(settings_module.load(environment), groups, wait))


def stages(environment: dict[str, str], groups: Groups, wait: Wait) -> Done:
    """Commit, publish and invalidate recorded batches, one thing at a time, with the CPU of each stage."""
    return _run(_stages(settings_module.load(environment), groups, wait))


def _run(job: Coroutine[Any, Any, Done]) -> Done:
    collect_rarely()  # as a worker does
    return uvloop.run(job)


async def _fetch(settings: Settings, groups: Groups, wait: Wait) -> Done:
    clock = StageClock()
    async with source(settings, _lanes(groups)) as fetched:
        wait()
        done = Done(began=time.time())
        clock.start()
        with metered(clock, FETCHING), clock.stage(FETCH):
            done.events = await fetch_all(fetched, Receives)
        done.ended, done.stages, done.cpu = time.time(), clock.spent, sum(clock.spent.values())
    return done


async def _feed(settings: Settings, groups: Groups, wait: Wait) -> Done:
    async with source(settings, _lanes(groups)) as fetched:
        recorded = await record(fetched, groups)
        claims = fetched.claims
    writers = [_Writer(settings, claims, group) for group in groups]
    for writer in writers:
        await writer.connect()
    _settle()
    wait()
    began, cpu = time.time(), time.process_time()
    backends = [writer.backend_cpu() for writer in writers]
    await asyncio.gather(*(_commit_all(writer, batches) for writer, batches in zip(writers, recorded, strict=True)))
    done = Done(
        events=sum(batch.rows for batches in recorded for batch in batches),
        began=began,
        ended=time.time(),
        cpu=time.process_time() - cpu,
        backends=[writer.backend_cpu() - before for writer, before in zip(writers, backends, strict=True)],
        batches=sum(map(len, recorded)),
    )
    for writer in writers:
        writer.books.discard()
    return done


async def _stages(settings: Settings, groups: Groups, wait: Wait) -> Done:
    clock = StageClock()
    async with source(settings, _lanes(groups)) as fetched:
        recorded = await record(fetched, groups)
        claims = fetched.claims
    done, statements = Done(), dict[str, float]()
    writers = [_Writer(settings, claims, group, clock, statements) for group in groups]
    for writer in writers:
        await writer.connect()
    async with _effects(settings) as (publisher, invalidator):
        _settle()
        wait()
        before = [writer.backend_cpu() for writer in writers]
        done.began = time.time()
        clock.start()
        with metered(clock, BOOKS):
            for writer, batch in _in_turn(writers, recorded):
                with clock.stage(TRANSACTION):
                    committed = await writer.books.commit(batch)
                with clock.stage(PUBLISH):
                    await publisher.publish(committed.outbox)
                with clock.stage(INVALIDATE):
                    await invalidator.invalidate(committed.outbox)
                writer.done_with(committed)
                done.events, done.batches = done.events + batch.rows, done.batches + 1
        clock.charge()
        done.ended, done.stages, done.cpu = time.time(), clock.spent, sum(clock.spent.values())
        done.backends = [writer.backend_cpu() - cpu for writer, cpu in zip(writers, before, strict=True)]
        done.statements = dict(statements)
    for writer in writers:
        await writer.books.save_marks(writer.epochs)
        writer.books.discard()
    return done


@asynccontextmanager
async def _effects(settings: Settings) -> AsyncIterator[tuple[Publisher, Invalidator]]:
    """What a worker does after each commit, assembled as `pipeline.app` does."""
    endpoints, metrics, reach = resolve(settings), Metrics(), crash_point(None)
    guards = worker_guards(settings.resilience, SystemClock(), ResilienceMetrics(metrics.registry))
    producer = new_producer(endpoints.kafka_bootstrap, NAME)
    await producer.start()
    redis = new_redis(endpoints.redis_url, settings.redis)
    cache = BalanceCache(redis, SystemClock(), metrics, value_ttl_seconds=settings.redis.value_ttl_seconds)
    try:
        yield (
            Publisher(producer, guards.kafka, settings.kafka.topic_prefix + REALTIME_UPDATES, metrics, reach),
            Invalidator(cache, guards.redis, settings.redis.invalidation_groups_max, metrics, reach),
        )
    finally:
        await producer.stop()
        await redis.aclose()


def _in_turn(writers: Sequence["_Writer"], recorded: Sequence[Sequence[Batch]]) -> Iterator[tuple["_Writer", Batch]]:
    """A batch of each writer, then the next of each."""
    for turn in zip_longest(*recorded):
        yield from ((writer, batch) for writer, batch in zip(writers, turn, strict=True) if batch is not None)


class _Writer:
    """The books of some lanes, over a connection of their own: metered where there is a clock."""

    def __init__(
        self,
        settings: Settings,
        claims: Sequence[Claim],
        group: Sequence[int],
        clock: StageClock | None = None,
        spent: dict[str, float] | None = None,
    ) -> None:
        self._settings = settings
        self._clock, self._spent = clock, spent
        self._connection: asyncpg.Connection | None = None
        own = [claim for claim in claims if claim.lane in group]
        self.epochs = {claim.lane: claim.epoch for claim in own}
        self._marks = Marks.of(own)
        batch = settings.batch
        defaults = property_defaults(settings.rules)
        self.books = Books(
            self._take_connection,
            BooksSettings(settings.kafka.lanes, batch.retention_months, defaults, batch.reached_days_max),
            own[0].cluster_epoch,
            self._marks,
            SystemClock(),
            crash_point(None),
        )

    async def connect(self) -> None:
        """Open the connection before anything is measured."""
        url = resolve(self._settings).database_url
        self._connection = await connect_writer(url, self._settings.database, NAME)

    def backend_cpu(self) -> float:
        """Of the connection's backend so far."""
        assert self._connection is not None
        return cpu_seconds(self._connection.get_server_pid())

    def done_with(self, committed: Committed) -> None:
        """Both effects are carried through: the next batch brings the marks to the books, and trims the outbox."""
        for row in committed.outbox:
            self._marks.published[row.lane] = self._marks.invalidated[row.lane] = row.seq

    async def _take_connection(self) -> asyncpg.Connection:
        assert self._connection is not None
        if self._clock is None or self._spent is None:
            return self._connection
        return cast("asyncpg.Connection", MeteredConnection(self._connection, self._clock, self._spent))


async def _commit_all(writer: _Writer, batches: Sequence[Batch]) -> None:
    for batch in batches:
        writer.done_with(await writer.books.commit(batch))


def _lanes(groups: Groups) -> list[int]:
    return [lane for group in groups for lane in group]


def _settle() -> None:
    """The recorded batches are old before the clock starts: a worker never holds so many."""
    gc.collect()
    gc.freeze()
