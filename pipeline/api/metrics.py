"""Every metric of the HTTP server, defined once, with its meaning."""

from prometheus_client import CollectorRegistry, Counter


class ApiMetrics:
    """The metrics of one server process, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.idempotency = Counter(
            "folio_api_idempotency",
            "Requests with an Idempotency-Key: first, replayed, reused (another body: refused), unguarded (Redis was "
            "away: carried out all the same), forgotten (Redis was away afterwards: once more if it is repeated).",
            ["outcome"],
            registry=self.registry,
        )
