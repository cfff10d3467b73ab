"""The assembly: the one place where the parts of a worker are put together."""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import asyncpg
import structlog

from batchers.announcer import Announcer
from batchers.books import Books, BooksSettings
from batchers.breaker import BreakerSettings, PoisonBreaker, Trip
from batchers.connection import Reach
from batchers.drain import Drain, Effect, in_turn
from batchers.exporter import Exporter
from batchers.gathering import Bounds, Gathering
from batchers.invalidator import Invalidator
from batchers.outbox import Marks, OutboxRow, read_outbox
from batchers.properties import PropertyDefaults
from batchers.publisher import Publisher
from batchers.purger import Purger
from batchers.writer import Writer
from batchers.writers import LaneGroup, Writers, lanes_of_writer
from consumers.session import Session, SessionSettings
from consumers.stopping import Stop
from pipeline.cache.balances import BalanceCache
from pipeline.cdn.metrics import CdnMetrics
from pipeline.cdn.opening import new_purges
from pipeline.cdn.purges import Purges
from pipeline.clients import Clients
from pipeline.clock import Clock, SystemClock
from pipeline.crash import crash_point
from pipeline.errors import BrokerUnavailable, SettingsRefused, Transient
from pipeline.health import Health
from pipeline.metrics import Metrics
from pipeline.producer import Producer
from pipeline.recorded_rules import recorded_rules
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import worker_guards
from pipeline.settings import BatchSettings, RuleSettings, Settings
from pipeline.storage.connect import briefly
from pipeline.translate import broker_errors
from schemas.lanes import Claim
from schemas.topics import CHAIN_HEADS, DEAD_LETTERS, REALTIME_UPDATES, Feed

_PRODUCER_CLOSE_SECONDS = 3.0
_CLAIM_SHARE = 0.7  # of the session's timeout
# The client's idempotent producer does not always recover by itself; a new session brings a new one.
_PUBLISH_GIVE_UP_SECONDS = 30.0

log = structlog.get_logger()


class Worker:
    """A worker process: sessions one after the other until told to stop, over clients that outlive them."""

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        *,
        name: str,
        metrics_port: int = 0,
        clock: Clock | None = None,
        reach: Reach | None = None,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._metrics_port = metrics_port
        self.name = name
        self._stop = Stop(settings.worker.shutdown_grace_seconds)
        self._metrics = Metrics()
        self._clock = clock or SystemClock()
        # Of the process, not of a session: a new one meets the same servers.
        self._guards = worker_guards(settings.resilience, self._clock, ResilienceMetrics(self._metrics.registry))
        self._reach = reach or crash_point(settings.worker.crash_at)
        self._purges = self._new_purges()
        self._producer: Producer | None = None
        self._letter_producer: Producer | None = None
        self._session: Session | None = None

    @property
    def ready(self) -> bool:
        """Whether lanes are claimed and records may flow."""
        return self._session is not None and self._session.ready

    def grace_left(self) -> float:
        """Seconds that the end may still take."""
        return self._stop.seconds_left()

    def stop(self) -> None:
        """Ask the worker to end in order. It has ended when the grace is over, whatever still hangs."""
        self._stop.request()

    async def run(self) -> None:
        """Work until told to stop. Raises Fatal for what an operator must mend."""
        health = Health(self._metrics, lambda: self.ready, self._clock)
        host, port = self._settings.worker.metrics_host, self._metrics_port
        async with health.serve(host, port), contextlib.aclosing(self._clients.redis):
            await self.work()

    async def work(self) -> None:
        """What `run` does, but for telling of it over HTTP."""
        try:
            async with self._stop.bound(), self._purging():
                await self._sessions()
        except TimeoutError:
            if not self._stop.requested:
                raise
            log.warning("the grace is over, the next owners do the rest")

    def _new_purges(self) -> Purges | None:
        """None without a CDN. Its queue outlives sessions: who comes next reads the outbox, not what waits here."""
        metrics = CdnMetrics(self._metrics.registry)
        return new_purges(self._settings.cdn, self._settings.cache, self._guards.cdn, self._clock, metrics)

    def _purging(self) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if self._purges is None else self._purges.running()

    async def _sessions(self) -> None:
        failures = 0
        while not self._stop.requested:
            try:
                await self._one_session()
            except Transient as error:
                failures = 0 if self._session is not None and self._session.held else failures + 1
                self._metrics.rejoins.labels(type(error).__name__).inc()
                pause = self._pause_seconds(failures)
                log.warning("session ended, a new one follows", error=str(error), pause_seconds=round(pause, 2))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stop.wait()

    def _pause_seconds(self, failures: int) -> float:
        longest = self._settings.worker.backoff_max_seconds
        return min(longest, 0.1 * float(1 << min(failures, 10))) * random.uniform(0.5, 1)  # noqa: S311  # jitter, no secret

    async def _one_session(self) -> None:
        self._session = None
        await self._check_schema()
        async with self._running_producers():
            self._session = Session(
                self._clients.consumer(),
                self._connected,
                self._open_writers,
                self._session_settings(),
                self._metrics,
            )
            await self._session.run(self._stop)

    @contextlib.asynccontextmanager
    async def _running_producers(self) -> AsyncIterator[None]:
        async with (
            self._running(self._clients.producer()) as self._producer,
            self._running(self._clients.letter_producer()) as self._letter_producer,
        ):
            yield

    @contextlib.asynccontextmanager
    async def _running(self, producer: Producer) -> AsyncIterator[Producer]:
        try:
            with broker_errors("connecting to the broker"):
                await producer.start()
            yield producer
        finally:
            await self._close(producer)

    async def _close(self, producer: Producer) -> None:
        """An idempotent producer waits for ever for a broker that is gone; what it holds is in the outbox."""
        try:
            with broker_errors("closing a producer"):
                async with asyncio.timeout(min(_PRODUCER_CLOSE_SECONDS, self._stop.seconds_left())):
                    await producer.flush()
        except BrokerUnavailable as error:
            log.warning("producer closed with records that it could not deliver", error=str(error))
        finally:
            await producer.abandon()

    def _session_settings(self) -> SessionSettings:
        worker = self._settings.worker
        return SessionSettings(
            topics={feed: self._settings.kafka.topic_prefix + feed for feed in Feed},
            owner=self.name,
            rules=recorded_rules(self._settings.rules),
            retention_months=self._settings.batch.retention_months,
            stall_seconds=worker.stall_seconds,
            claim_seconds=self._settings.kafka.session_timeout_seconds * _CLAIM_SHARE,
        )

    async def _check_schema(self) -> None:
        async with self._connected("checking the schema") as connection:
            await self._clients.require_schema(connection)

    def _connected(self, doing: str) -> AbstractAsyncContextManager[asyncpg.Connection]:
        return briefly(self._clients.connect(), doing)

    def _open_writers(self, claims: Sequence[Claim], lane_count: int, trip: Trip) -> Writers:
        poison = self._settings.poison
        breaker = PoisonBreaker(claims, BreakerSettings(poison.share_max, poison.window_records), trip)

        def assemble(members: Sequence[Claim], marks: Marks) -> LaneGroup:
            return self._assemble(members, marks, lane_count, breaker)

        batch = self._settings.batch
        lanes_of_each = lanes_of_writer(len(claims), batch.lanes_per_writer, batch.writers_max)
        writers = Writers(claims, lanes_of_each, assemble, breaker)
        for effect in ("publish", "invalidate"):
            self._metrics.waiting_batches.labels(effect).set_function(partial(writers.waiting_batches, effect))
        return writers

    def _assemble(self, claims: Sequence[Claim], marks: Marks, lane_count: int, breaker: PoisonBreaker) -> LaneGroup:
        """A writer for these lanes, with its own connection and its own two drains of the outbox."""
        assert self._producer is not None
        assert self._letter_producer is not None
        batch = self._settings.batch
        pause = self._settings.worker.backoff_max_seconds
        defaults = property_defaults(self._settings.rules)
        books = Books(
            self._clients.connect_writer,
            BooksSettings(lane_count, batch.retention_months, defaults, batch.reached_days_max),
            claims[0].cluster_epoch,
            marks,
            self._clock,
            self._reach,
        )
        heads = {claim.lane: claim.outbox_seq for claim in claims}
        prefix = self._settings.kafka.topic_prefix
        broker = self._guards.kafka
        publisher = Publisher(self._producer, broker, prefix + REALTIME_UPDATES, self._metrics, self._reach)
        exporter = Exporter(self._letter_producer, broker, prefix + DEAD_LETTERS, self._metrics, self._reach)
        announcer = Announcer(self._producer, broker, prefix + CHAIN_HEADS, self._metrics, self._reach)
        groups_max = self._settings.redis.invalidation_groups_max
        invalidator = Invalidator(self._balance_cache(), self._guards.redis, groups_max, self._metrics, self._reach)
        publishing = in_turn(publisher.publish, exporter.export, announcer.announce)
        publish = self._drain("publish", publishing, marks.published, heads, _PUBLISH_GIVE_UP_SECONDS)
        invalidating = self._then_purging(invalidator.invalidate)
        invalidate = self._drain("invalidate", invalidating, marks.invalidated, heads, None)
        gathering = Gathering(bounds(batch), self._clock)
        epochs = {claim.lane: claim.epoch for claim in claims}
        writer = Writer(
            gathering,
            books,
            self._guards.postgres,
            publish,
            invalidate,
            epochs,
            breaker,
            self._metrics,
            pause_max_seconds=pause,
        )
        return LaneGroup(writer, gathering, books, publish, invalidate)

    def _then_purging(self, invalidate: Effect) -> Effect:
        """What a CDN asks for anew must not come from a cache that was not told yet."""
        return invalidate if self._purges is None else in_turn(invalidate, Purger(self._purges).purge)

    def _drain(
        self, name: str, effect: Effect, marks: dict[int, int], heads: dict[int, int], give_up_seconds: float | None
    ) -> Drain:
        return Drain(
            name,
            effect,
            self._read_outbox,
            marks,
            heads,
            waiting_max=self._settings.batch.unpublished_batches_max,
            pause_max_seconds=self._settings.worker.backoff_max_seconds,
            give_up_seconds=give_up_seconds,
        )

    def _balance_cache(self) -> BalanceCache:
        value_ttl_seconds = self._settings.redis.value_ttl_seconds
        return BalanceCache(self._clients.redis, self._clock, self._metrics, value_ttl_seconds=value_ttl_seconds)

    async def _read_outbox(self, lane: int, after: int, bytes_max: int) -> list[OutboxRow]:
        return await self._guards.postgres.call(partial(self._outbox_after, lane, after, bytes_max))

    async def _outbox_after(self, lane: int, after: int, bytes_max: int) -> list[OutboxRow]:
        async with self._connected("reading the outbox") as connection:
            return await read_outbox(connection, lane, after, bytes_max)


def worker_name(settings: Settings) -> str:
    """What a worker calls itself: as the settings say, else by its machine and process.

    Raises SettingsRefused where its name must outlive its process, and has none.
    """
    if settings.worker.name is not None:
        return settings.worker.name
    if settings.kafka.static_membership:
        raise SettingsRefused("FOLIO_KAFKA_STATIC_MEMBERSHIP needs FOLIO_WORKER_NAME: a name that outlives a restart")
    return f"{socket.gethostname()}-{os.getpid()}"


def bounds(batch: BatchSettings) -> Bounds:
    return Bounds(
        rows_max=batch.rows_max,
        bytes_max=batch.bytes_max,
        linger_seconds=batch.linger_ms / 1000,
        gathered_rows_max=batch.gathered_rows_max,
        gathered_bytes_max=batch.gathered_bytes_max,
    )


def property_defaults(rules: RuleSettings) -> PropertyDefaults | None:
    """What registers a property that nobody loaded; None where nothing does."""
    if rules.unknown_property == "quarantine":
        return None
    return PropertyDefaults(rules.default_currency, rules.default_time_zone)
