"""Every metric of the HTTP server, defined once, with its meaning."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds: from an answer that was at hand, over 20 ms and 50 ms as they are promised, to what a client waits for.
_REQUEST_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 30)
_APPLIED_BUCKETS: Final = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 20)


class ApiMetrics:
    """The metrics of one server process, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.requests = Counter(
            "folio_api_requests",
            "Requests that were answered, by the route's template, method and class of status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "folio_api_request_seconds",
            "From a request's head to the last byte of its answer, handed to the connection.",
            ["route"],
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        self.refused = Counter(
            "folio_api_refused",
            "Requests that were not worked on: rate (of a token's holder), address_rate (of an address without a valid "
            "token), waiting (too many wait for the stream), broker_waiting (too many wait for a broker that is away), "
            "slow (its head or body did not come in time), too_large, bodies (all of them have too many bytes).",
            ["reason"],
            registry=self.registry,
        )
        self.publications_waiting = Gauge(
            "folio_api_publications_waiting",
            "Requests that wait for a broker that is away, to publish what they hold.",
            registry=self.registry,
        )
        self.bodies_bytes = Gauge(
            "folio_api_bodies_bytes",
            "Bytes that have come of the bodies of requests that are being worked on.",
            registry=self.registry,
        )
        self.applied_waiting = Gauge(
            "folio_api_applied_waiting",
            "Requests that publish and wait for the stream (`wait=applied`) now.",
            registry=self.registry,
        )
        self.applied_seconds = Histogram(
            "folio_api_applied_seconds",
            "From the broker's acknowledgement until the stream had decided, the bound was over, or the client gone.",
            buckets=_APPLIED_BUCKETS,
            registry=self.registry,
        )
        self.applied_looks = Counter(
            "folio_api_applied_looks",
            "Looks at the lanes' positions, each one for everybody who waits.",
            registry=self.registry,
        )
        self.tickets = Counter(
            "folio_api_tickets",
            "One-use tickets: issued, redeemed, refused (used before, expired, or never issued).",
            ["outcome"],
            registry=self.registry,
        )
        self.key_reads = Counter(
            "folio_api_key_reads",
            "Readings of a changed file of public keys: accepted, or refused (the former keys stay).",
            ["outcome"],
            registry=self.registry,
        )
        self.idempotency = Counter(
            "folio_api_idempotency",
            "Requests with an Idempotency-Key: first, replayed, reused (another request: refused), unguarded (Redis "
            "was away: carried out all the same), forgotten (Redis was away afterwards: once more if it is repeated).",
            ["outcome"],
            registry=self.registry,
        )
