"""Every metric of the realtime gateway, defined once, with its meaning."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds since the change was recorded: the promise is a second at the 95th percentile.
_DELIVERY_BUCKETS: Final = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 30)


class RealtimeMetrics:
    """The metrics of one process's gateway, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.received = Counter(
            "folio_realtime_received", "Records read from the topic of updates.", registry=self.registry
        )
        self.unreadable = Counter(
            "folio_realtime_unreadable", "Records of the topic that were no update.", registry=self.registry
        )
        self.connections = Gauge("folio_realtime_connections", "Subscriptions that are open.", registry=self.registry)
        self.refused = Counter(
            "folio_realtime_refused", "Subscriptions refused, by reason.", ["reason"], registry=self.registry
        )
        self.caps_unguarded = Counter(
            "folio_realtime_caps_unguarded",
            "Places that were taken without asking the other processes, for Redis was away.",
            registry=self.registry,
        )
        self.deliveries = Counter("folio_realtime_deliveries", "Updates handed to subscribers.", registry=self.registry)
        self.conflated = Counter(
            "folio_realtime_conflated",
            "Updates that a newer one of the same day replaced before a subscriber took them.",
            registry=self.registry,
        )
        self.resyncs = Counter(
            "folio_realtime_resyncs",
            "Times that a subscriber was told to read a snapshot again, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.closed = Counter(
            "folio_realtime_closed", "Subscriptions that ended, by reason.", ["reason"], registry=self.registry
        )
        self.delivery_seconds = Histogram(
            "folio_realtime_delivery_seconds",
            "From the change of a balance to its being handed to a subscriber.",
            buckets=_DELIVERY_BUCKETS,
            registry=self.registry,
        )
        self.ring_bytes = Gauge(
            "folio_realtime_ring_bytes", "Memory of what was told last, all partitions.", registry=self.registry
        )
        self.reconnects = Counter(
            "folio_realtime_reconnects", "Times that the feed lost the broker and began anew.", registry=self.registry
        )

    def ring(self, size_bytes: Callable[[], int]) -> None:
        """A size that is asked for when it is scraped."""
        self.ring_bytes.set_function(size_bytes)
