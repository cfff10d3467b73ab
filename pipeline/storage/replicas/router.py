"""Reads, each sent to a server that may answer it by its intent, and to another one when that fails."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, TypeVar

import asyncpg

import sql
from pipeline.clock import Clock
from pipeline.errors import BatchTooSlow, DatabaseUnavailable, PoolExhausted
from pipeline.replica_addresses import OrgRange
from pipeline.storage.intent import Intent, Read, ReadYourWrites, Write
from pipeline.storage.readers import Work
from pipeline.storage.replicas.choice import Position, choose, has
from pipeline.storage.replicas.health import HealthChecks
from pipeline.storage.replicas.metrics import ReadMetrics
from pipeline.storage.replicas.pool import GOING, ServerPool
from pipeline.translate import database_errors

T = TypeVar("T")

# How often a replica that is a little behind is asked whether it is there: replay takes about a millisecond.
_LOOK_SECONDS: Final = 0.002
_INTENTS: Final = {Read: "read", ReadYourWrites: "read_your_writes", Write: "write"}


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica's connections, and the group that it belongs to."""

    pool: ServerPool
    group: str


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T


class ReplicaReaders:
    """Reads over a primary and its replicas; with no replica, over the primary alone."""

    def __init__(
        self,
        primary: ServerPool,
        replicas: Sequence[Replica],
        ranges: Sequence[OrgRange],
        checks: HealthChecks,
        catch_up_seconds: float,
        clock: Clock,
        metrics: ReadMetrics,
    ) -> None:
        self._primary = primary
        self._replicas = replicas
        self._ranges = ranges
        self.checks = checks
        self._catch_up_seconds = catch_up_seconds
        self._clock = clock
        self.metrics = metrics
        self._turns = count()

    @property
    def pools(self) -> tuple[ServerPool, ...]:
        """The primary's, then the replicas'."""
        return (self._primary, *(each.pool for each in self._replicas))

    async def read(self, org_id: int, intent: Intent, work: Work[T]) -> T:
        """What `work` returns, done in a read-only transaction that sees one organisation.

        It is done again, on another server or another connection, when a server does not answer; so it must only read.
        Raises DatabaseUnavailable when no server answers, PoolExhausted when none has a connection to spare, and
        BatchTooSlow when one took longer than a statement may: that is not tried again.
        """
        *earlier, last = (*self._chosen(org_id, intent), self._primary, self._primary)
        for server in earlier:
            try:
                answer = await self._attempt(server, org_id, intent, work)
            except BatchTooSlow:
                raise
            except DatabaseUnavailable as error:
                self._failed(server, error)
            else:
                if answer is not None:
                    return answer.value
        answer = await self._attempt(last, org_id, intent, work)
        assert answer is not None, "a primary is never behind itself"
        return answer.value

    async def primary_row(self, statement: str, *arguments: object) -> asyncpg.Record:
        """As `Readers` has it. Done again on another connection when the first one gets no answer. Raises as `read`."""
        try:
            return await self._row(statement, *arguments)
        except BatchTooSlow:
            raise
        except DatabaseUnavailable as error:
            self._failed(self._primary, error)
        return await self._row(statement, *arguments)

    async def close(self) -> None:
        """Let the reads in flight end, for a moment, and close every connection."""
        await asyncio.gather(*(pool.close() for pool in self.pools))

    def _chosen(self, org_id: int, intent: Intent) -> list[ServerPool]:
        group = next((each.pool for each in self._ranges if org_id in each), None)
        places = [place for place, each in enumerate(self._replicas) if group in (None, each.group)]
        healths = self.checks.replicas
        chosen = choose([healths[place] for place in places], intent, next(self._turns))
        return [self._replicas[places[each]].pool for each in chosen]

    async def _attempt(self, server: ServerPool, org_id: int, intent: Intent, work: Work[T]) -> _Answer[T] | None:
        """The answer of one server; None when it is a replica that lacks what the caller must see."""
        began = self._clock.monotonic()
        with self._asking(server):
            async with server.reading(org_id) as (connection, position):
                if server is self._primary:
                    self._require_primary(position, intent)
                elif not await self._has(connection, position, intent):
                    self.metrics.behind.labels(server.name).inc()
                    return None
                answer = _Answer(await work(connection))
        self._answered(server, intent, began)
        return answer

    async def _row(self, statement: str, *arguments: object) -> asyncpg.Record:
        began = self._clock.monotonic()
        with self._asking(self._primary):
            row = await self._primary.row(statement, *arguments)
        self._answered(self._primary, Write(), began)
        self.checks.met_primary(row["epoch"])
        return row

    @contextmanager
    def _asking(self, server: ServerPool) -> Iterator[None]:
        """Raises ours, and counts it."""
        try:
            with database_errors(f"reading from {server.name}"):
                yield
        except DatabaseUnavailable as error:
            self.metrics.failed.labels(server.name, type(error).__name__).inc()
            raise

    def _answered(self, server: ServerPool, intent: Intent, began: float) -> None:
        self.metrics.reads.labels(server.name, _INTENTS[type(intent)]).inc()
        self.metrics.read_seconds.labels(server.name).observe(self._clock.monotonic() - began)

    def _require_primary(self, position: Position, intent: Intent) -> None:
        """Raises DatabaseUnavailable where the primary's address leads to a server that may lack what was written.

        A virtual address moves with a failover: for a moment it may lead to a standby, which may answer what a replica
        may.
        """
        if not position.in_recovery:
            self.checks.met_primary(position.epoch)
        elif not isinstance(intent, Read) or not self.checks.vouches_for(position):
            self.checks.at_once()
            raise DatabaseUnavailable("the primary's address leads to a standby; this read needs the primary itself")

    async def _has(self, connection: asyncpg.Connection, position: Position, intent: Intent) -> bool:
        """Whether a replica has what the read must see, now or in a moment.

        What it is of may have changed since the last look: the address leads elsewhere, or to what was made anew.
        """
        if not position.in_recovery or position.epoch != self.checks.history:
            self.checks.at_once()
            return False
        deadline = self._clock.monotonic() + self._catch_up_seconds
        while not has(position, intent):
            wanting = isinstance(intent, ReadYourWrites) and intent.epoch != position.epoch
            if wanting or self._clock.monotonic() >= deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
            lsn = await connection.fetchval(sql.query("replayed_position"))
            position = Position(position.epoch, position.in_recovery, lsn)
        return True

    def _failed(self, server: ServerPool, error: DatabaseUnavailable) -> None:
        """A replica that did not answer is left alone until it was looked at again; one that refused has answered."""
        place = next((place for place, each in enumerate(self._replicas) if each.pool is server), None)
        if place is None:
            self.checks.at_once()
        elif not isinstance(error, PoolExhausted) and not _was_answered(error):
            self.checks.silent(place, str(error))


def _was_answered(error: DatabaseUnavailable) -> bool:
    """Whether the server itself refused the statement, for example for what it must replay at that moment."""
    cause = error.__cause__
    return isinstance(cause, asyncpg.PostgresError) and not isinstance(cause, GOING)
