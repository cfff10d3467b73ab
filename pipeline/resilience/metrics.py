"""Every metric of guarded calls, defined once, with its meaning. `part` is the one that is called, such as postgres."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds: from a place that is free at once to the longest wait that the settings allow.
_WAIT_BUCKETS: Final = (0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class ResilienceMetrics:
    """The metrics of one process's guards, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.calls = Counter(
            "folio_guarded_calls",
            "Attempts that reached a part, by what their end said of it: answered, away, or none of both.",
            ["part", "evidence"],
            registry=self.registry,
        )
        self.refused = Counter(
            "folio_guarded_calls_refused",
            "Attempts that did not reach a part, by what refused them: circuit, limiter or bulkhead.",
            ["part", "by"],
            registry=self.registry,
        )
        self.circuit_state = Gauge(
            "folio_circuit_state",
            "A part's circuit: 0 closed, 1 half-open (one call looks whether the part is back), 2 open.",
            ["part"],
            registry=self.registry,
        )
        self.circuit_transitions = Counter(
            "folio_circuit_transitions",
            "Times that a part's circuit changed, by its new state.",
            ["part", "state"],
            registry=self.registry,
        )
        self.retries = Counter("folio_retries", "Attempts that were made again.", ["part"], registry=self.registry)
        self.retries_refused = Counter(
            "folio_retries_refused",
            "Attempts that were worth another one, for which the retry budget had nothing left.",
            ["part"],
            registry=self.registry,
        )
        self.bulkhead_in_flight = Gauge(
            "folio_bulkhead_in_flight", "Calls that a part works on.", ["part"], registry=self.registry
        )
        self.bulkhead_waiting = Gauge(
            "folio_bulkhead_waiting",
            "Calls that wait for a part to have worked off others.",
            ["part"],
            registry=self.registry,
        )
        self.bulkhead_wait_seconds = Histogram(
            "folio_bulkhead_wait_seconds",
            "How long calls waited for a part to have worked off others; those that did not wait are not counted.",
            ["part"],
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self.limiter_waiting = Gauge(
            "folio_limiter_waiting", "Calls that wait for their turn by rate.", ["part"], registry=self.registry
        )
        self.limiter_wait_seconds = Histogram(
            "folio_limiter_wait_seconds",
            "How long calls waited for their turn by rate; those that did not wait are not counted.",
            ["part"],
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
