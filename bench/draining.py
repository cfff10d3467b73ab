"""A pre-loaded topic, drained by the whole pipeline until its last update is published: one round of it.

The clock starts when the first worker has claimed its lanes, for then it fetches, and stops at the time that the broker
gave the last update. What the processes take to start is told apart, and so is the rate since the first commit.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import asyncpg
from confluent_kafka import Consumer, TopicPartition

from bench.accounting import HARNESS, OTHER, Accountant, Reading, Watch
from bench.database import Wal, Written, load_properties, rows_written, wal
from bench.loading import quiet
from bench.target import MIGRATED, Ground, Stream, Target
from bench.workers import BatchStatistics, Workers, running_workers
from bench.workload import Workload

_LOOK_SECONDS: Final = 0.02  # until the first commit; then a bit less often
_LOOK_LATER_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 120.0  # without any progress
_BROKER_SECONDS: Final = 30.0
_LANES: Final = """
    SELECT coalesce(sum(owner_epoch), 0)::bigint AS claims,
           coalesce(sum(applied + duplicate + stale + conflict + quarantined), 0)::bigint AS consumed,
           coalesce(sum(outbox_seq - published_seq), 0)::bigint AS unpublished
    FROM ops.lanes
"""


@dataclass(slots=True)
class Round:
    """One drain. Moments are seconds of the wall clock; CPU is by part, from the first claim to the end."""

    events: int
    started: float = 0.0
    claimed: float = 0.0
    first_commit: float = 0.0
    first_batches: int = 0  # events committed when the first commit was seen
    ended: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    startup_cpu: dict[str, float] = field(default_factory=dict)
    stolen_seconds: float = 0.0
    peaks_mib: dict[str, float] = field(default_factory=dict)
    batches: BatchStatistics = field(default_factory=lambda: BatchStatistics(0, 0, 0.0))
    written: list[Written] = field(default_factory=list)
    wal: Wal = field(default_factory=lambda: Wal(0, 0, 0))
    course: list[tuple[float, int]] = field(default_factory=list)  # seconds since the claim, events committed

    @property
    def seconds(self) -> float:
        return self.ended - self.claimed

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    @property
    def events_per_second_from_start(self) -> float:
        return self.events / (self.ended - self.started)

    @property
    def events_per_second_from_first_commit(self) -> float:
        return (self.events - self.first_batches) / max(self.ended - self.first_commit, 1e-3)

    @property
    def cpu_us_total(self) -> float:
        """Of all that the pipeline needs: without the benchmark itself and without others on the machine."""
        return sum(self.cpu_us(part) for part in self.cpu if part not in (HARNESS, OTHER))

    def cpu_us(self, part: str) -> float:
        """Microseconds of CPU an event."""
        return self.cpu.get(part, 0.0) * 1e6 / self.events


class StandstillError(Exception):
    """Nothing was committed for too long."""


async def ready(target: Target, workload: Workload, workers: int, lanes: int | None = None) -> tuple[Stream, str]:
    """The workload, loaded, and the template that its rounds begin with: properties and history are in it."""
    template = MIGRATED
    if workload.properties_loaded:
        template = await _with_properties(target, workload)
    if workload.history_days:
        template = await _with_history(target, workload, workers, lanes, template)
    return await target.stream(workload, lanes), template


async def _with_properties(target: Target, workload: Workload) -> str:
    template = f"properties_{workload.orgs}_{workload.properties_per_org}"
    if not target.has(template):

        async def fill(connection: asyncpg.Connection) -> None:
            await load_properties(connection, workload.orgs, workload.properties_per_org)

        await target.derive(template, MIGRATED, fill)
    return template


async def _with_history(target: Target, workload: Workload, workers: int, lanes: int | None, base: str) -> str:
    loaded_before = target.holds(workload, lanes, "history")
    stream = await target.stream(workload, lanes, "history")
    template = f"history_{workload.id}_{stream.lanes}"
    # Topics that were removed and made anew hold other records under the same offsets: their lanes would rightly stop.
    if not (loaded_before and target.has(template)):
        await drain_round(target, stream, workers, base)
        await target.keep(template)
    return template


async def drain_round(
    target: Target, stream: Stream, workers: int, template: str = MIGRATED, **overrides: str
) -> tuple[Round, Ground]:
    """Reset, start the workers, wait for the last update; the ground is left for the proof.

    `overrides` name settings of the workers without FOLIO_. Raises StandstillError, WorkersEndedError.
    """
    ground = await target.reset(stream, template)
    connection = await asyncpg.connect(ground.endpoints.database_url)
    try:
        done = await _drain(target, ground, connection, workers, overrides)
        done.written = await rows_written(connection)
    finally:
        await connection.close()
    return done, ground


async def _drain(
    target: Target, ground: Ground, connection: asyncpg.Connection, workers: int, overrides: dict[str, str]
) -> Round:
    round_ = Round(ground.stream.loaded.events)
    wal_before = await wal(connection)
    round_.started = time.time()
    with running_workers(ground, workers, target.workers_log, **overrides) as running:
        accountant = target.accountant(workers=running.pid)
        before = accountant.read()
        with Watch(accountant):
            claimed = await _until_drained(round_, connection, running, accountant)
            after = accountant.read()
        round_.batches = await running.statistics()
    round_.ended = min(round_.ended, _last_update(ground) or round_.ended) if target.local else round_.ended
    round_.startup_cpu, round_.cpu = claimed.since(before), after.since(claimed)
    round_.stolen_seconds = after.machine_stolen - claimed.machine_stolen
    round_.peaks_mib = accountant.peaks_mib
    round_.wal = (await wal(connection)).since(wal_before)
    return round_


async def _until_drained(
    round_: Round, connection: asyncpg.Connection, running: Workers, accountant: Accountant
) -> Reading:
    """Until everything is committed and published; the reading at the first claim."""
    start = await connection.fetchrow(_LANES)
    assert start is not None, "an aggregate has one row"
    claimed: Reading | None = None
    consumed, moved_at = 0, time.time()
    while True:
        now_ = await connection.fetchrow(_LANES)
        assert now_ is not None
        now = time.time()
        if claimed is None and now_["claims"] > start["claims"]:
            round_.claimed, claimed = now, accountant.read()
        if now_["consumed"] - start["consumed"] != consumed:
            moved_at, consumed = now, now_["consumed"] - start["consumed"]
            if not round_.first_commit:
                round_.first_commit, round_.first_batches = now, consumed
            round_.course.append((now - round_.claimed, consumed))
        if claimed is not None and consumed >= round_.events and not now_["unpublished"]:
            round_.ended = now
            return claimed
        if now - moved_at > _PATIENCE_SECONDS:
            raise StandstillError(
                f"nothing was committed for {_PATIENCE_SECONDS:.0f} s, after {consumed:,} events:\n{running.last_words}"
            )
        running.require_alive()
        await asyncio.sleep(_LOOK_LATER_SECONDS if round_.first_commit else _LOOK_SECONDS)


def _last_update(ground: Ground) -> float | None:
    """When the broker took the last realtime update, by its own clock (LogAppendTime)."""
    topic = ground.stream.updates_topic
    consumer = Consumer(quiet(ground.endpoints.kafka_bootstrap) | {"group.id": "folio-bench-last"})
    try:
        last = []
        for partition in consumer.list_topics(topic, _BROKER_SECONDS).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), _BROKER_SECONDS)
            if high > low:
                last.append(TopicPartition(topic, partition, high - 1))
        consumer.assign(last)
        records = [consumer.poll(_BROKER_SECONDS) for _ in last]
    finally:
        consumer.close()
    stamps = [record.timestamp()[1] for record in records if record is not None and not record.error()]
    return max(stamps) / 1000 if stamps else None
