"""Every metric of a worker, defined once, with its meaning. No metric carries a tenant: there are ten million."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds: from a lightly loaded commit on a local disk to the bound on a transaction.
_COMMIT_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ROWS_BUCKETS: Final = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


class Metrics:
    """The metrics of one worker process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.records = Counter("folio_records", "Records by what became of them.", ["outcome"], registry=self.registry)
        self.batch_rows = Histogram(
            "folio_batch_rows", "Records of a committed batch.", buckets=_ROWS_BUCKETS, registry=self.registry
        )
        self.commit_seconds = Histogram(
            "folio_commit_seconds",
            "One transaction, from BEGIN to the answer to COMMIT.",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )
        self.published = Counter(
            "folio_updates_published", "Realtime updates acknowledged by the brokers.", registry=self.registry
        )
        self.exported = Counter(
            "folio_dead_letters_exported", "Dead letters acknowledged by the brokers.", registry=self.registry
        )
        self.announced = Counter(
            "folio_chain_heads_announced", "Chain heads acknowledged by the brokers.", registry=self.registry
        )
        self.invalidated = Counter(
            "folio_floors_raised", "Cached days invalidated by raising their floor.", registry=self.registry
        )
        self.cache_reads = Counter(
            "folio_cache_reads", "Reads of cached balances by result.", ["result"], registry=self.registry
        )
        self.gathered_rows = Gauge(
            "folio_gathered_rows", "Decoded records that wait for the writer.", registry=self.registry
        )
        self.waiting_batches = Gauge(
            "folio_waiting_batches",
            "Committed batches that wait in memory for an effect.",
            ["effect"],
            registry=self.registry,
        )
        self.lanes_owned = Gauge("folio_lanes_owned", "Lanes that this worker has claimed.", registry=self.registry)
        self.lanes_stopped = Gauge(
            "folio_lanes_stopped", "Lanes that wait for an operator; see ops.lanes.", registry=self.registry
        )
        self.lanes_paused = Gauge(
            "folio_lanes_paused", "Lanes that stand still until somebody resumes them.", registry=self.registry
        )
        self.lag_records = Gauge(
            "folio_lag_records", "Records of the owned lanes that are not committed.", registry=self.registry
        )
        self.freshness_seconds = Gauge(
            "folio_freshness_seconds",
            "Age of the oldest uncommitted record of the owned lanes, since its broker appended it; 0 when none waits.",
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "folio_lag_seconds",
            "Age of the oldest uncommitted record of each owned lane; 0 when none waits.",
            ["lane"],
            registry=self.registry,
        )
        self.failed_attempts = Counter(
            "folio_failed_attempts",
            "Attempts at a step of a batch (commit, publish, export, announce, invalidate) that failed, "
            "by class of error.",
            ["step", "error"],
            registry=self.registry,
        )
        self.stalls = Counter(
            "folio_stalls",
            "Times that records waited in the topic and none was delivered for too long.",
            registry=self.registry,
        )
        self.rejoins = Counter(
            "folio_rejoins",
            "Times that the worker left the group and joined again, by cause.",
            ["cause"],
            registry=self.registry,
        )

        self.tasks = Gauge(
            "folio_tasks",
            "Tasks of the event loop that have not ended; it keeps rising where some are started and never end.",
            registry=self.registry,
        )

    def waiting(self, seconds: Mapping[int, float]) -> None:
        """By owned lane, the age of its oldest uncommitted record."""
        for lane, age in seconds.items():
            self.lag_seconds.labels(str(lane)).set(age)
        self.freshness_seconds.set(max(seconds.values(), default=0.0))

    def lanes_given_up(self) -> None:
        """No lane is owned: what was told of lanes is another worker's to tell now."""
        for gauge in (
            self.lanes_owned,
            self.lanes_paused,
            self.lag_records,
            self.gathered_rows,
            self.freshness_seconds,
        ):
            gauge.set(0)
        self.lag_seconds.clear()

    @contextmanager
    def attempted(self, step: str) -> Iterator[None]:
        """Count what fails inside, and let it pass."""
        try:
            yield
        except Exception as error:
            self.failed_attempts.labels(step, type(error).__name__).inc()
            raise

    def committed(self, rows: int, outcomes: Iterable[tuple[StrEnum, int]], seconds: float) -> None:
        """One batch is in the books."""
        self.batch_rows.observe(rows)
        self.commit_seconds.observe(seconds)
        for outcome, count in outcomes:
            self.records.labels(outcome.value).inc(count)
