"""Every metric of purging, defined once, with its meaning."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds: from a cache beside the worker to the longest life that something has at the CDN.
_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 120)


class CdnMetrics:
    """The metrics of a worker's purges, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.purges = Counter(
            "folio_cdn_purges",
            "Requests to purge: purged, failed (the CDN was away or refused), or refused (by our own guard).",
            ["outcome"],
            registry=self.registry,
        )
        self.tags = Counter(
            "folio_cdn_purge_tags",
            "Tags by what became of them: purged, again (for the second time), lost (too many waited), or outlived "
            "(nothing from before the change was kept any more).",
            ["outcome"],
            registry=self.registry,
        )
        self.queue = Gauge("folio_cdn_purge_queue_tags", "Tags that wait to be purged.", registry=self.registry)
        self.seconds = Histogram(
            "folio_cdn_purge_seconds",
            "From when a change was heard of to the CDN's answer that what it kept is gone.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
