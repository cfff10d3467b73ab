"""Every metric of reading, defined once, with its meaning. `server` is `primary`, or a replica's name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pipeline.storage.replicas.choice import Health

# Seconds: from a connection that is free to the bound on waiting for one.
_ACQUIRE_BUCKETS: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)
_READ_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3, 10)


PRIMARY: Final = "primary"


@dataclass(frozen=True, slots=True)
class Told:
    """Reads that a server has answered, was passed over for, and has failed."""

    answered: int
    behind: int
    failed: int


class ReadMetrics:
    """The metrics of one process's readers, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.reads = Counter(
            "folio_reads",
            "Reads answered, by server and declared intent.",
            ["server", "intent"],
            registry=self.registry,
        )
        self.read_seconds = Histogram(
            "folio_read_seconds",
            "One read on the server that answered it, its connection included.",
            ["server"],
            buckets=_READ_BUCKETS,
            registry=self.registry,
        )
        self.behind = Counter(
            "folio_reads_behind",
            "Replicas passed over: they lacked what the caller had written, or were of another history.",
            ["server"],
            registry=self.registry,
        )
        self.failed = Counter(
            "folio_reads_failed",
            "Attempts at a read that failed on a server, by class of error; the read went on elsewhere if it could.",
            ["server", "error"],
            registry=self.registry,
        )
        self.lag_bytes = Gauge(
            "folio_replica_lag_bytes",
            "WAL that a replica had not replayed when last asked.",
            ["server"],
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "folio_replica_lag_seconds",
            "Age of what a replica showed when last asked, at most.",
            ["server"],
            registry=self.registry,
        )
        self.usable = Gauge(
            "folio_server_usable", "1 while a server is asked for reads, else 0.", ["server"], registry=self.registry
        )
        self.transitions = Counter(
            "folio_server_transitions",
            "Times that a server's condition changed, by the new one.",
            ["server", "condition"],
            registry=self.registry,
        )
        self.connections = Gauge(
            "folio_pool_connections",
            "Connections of a pool: open, in use, and the most there may be.",
            ["server", "state"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "folio_pool_waiting", "Reads that wait for a connection of a pool.", ["server"], registry=self.registry
        )
        self.acquire_seconds = Histogram(
            "folio_pool_acquire_seconds",
            "How long reads waited for a connection of a pool.",
            ["server"],
            buckets=_ACQUIRE_BUCKETS,
            registry=self.registry,
        )

    def found(self, server: str, health: Health, *, changed: bool) -> None:
        """What a server was found to be."""
        self.usable.labels(server).set(health.usable)
        if health.lag_bytes is not None:
            self.lag_bytes.labels(server).set(health.lag_bytes)
        if health.lag_seconds is not None:
            self.lag_seconds.labels(server).set(health.lag_seconds)
        if changed:
            self.transitions.labels(server, health.condition.value).inc()

    def pool(self, server: str, opened: Callable[[], int], in_use: Callable[[], int], most: int) -> None:
        """A pool whose sizes are asked for when they are scraped."""
        self.connections.labels(server, "open").set_function(opened)
        self.connections.labels(server, "in_use").set_function(in_use)
        self.connections.labels(server, "max").set(most)

    def told(self, server: str) -> "Told":
        """What a server was asked since the process began."""
        return Told(*(_sum(counter, server) for counter in (self.reads, self.behind, self.failed)))

    def replica_share(self) -> float:
        """The part of all reads that replicas answered; 0 when there was none."""
        samples = [sample for metric in self.reads.collect() for sample in metric.samples]
        answered = [(each.labels["server"], each.value) for each in samples if each.name == "folio_reads_total"]
        total = sum(count for _, count in answered)
        return sum(count for server, count in answered if server != PRIMARY) / total if total else 0.0


def _sum(counter: Counter, server: str) -> int:
    samples = (sample for metric in counter.collect() for sample in metric.samples)
    return int(sum(each.value for each in samples if each.name.endswith("_total") and each.labels["server"] == server))
