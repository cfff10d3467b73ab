"""What `/v2/realtime/metrics` says: the gateway's own counters, added up, and its delays as percentiles."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from prometheus_client import Counter, Histogram

from pipeline.realtime.hub import Hub
from pipeline.realtime.metrics import RealtimeMetrics


@dataclass(frozen=True, slots=True)
class DeliverySeconds:
    """Estimates within the bounds that the histogram counts by; null where nothing was delivered, or beyond them."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class RealtimeFigures:
    """Counters since the process began; `positions`: the offset that is read next, of each partition of the topic."""

    ready: bool
    connections: int
    received: int
    deliveries: int
    conflated: int
    refused: dict[str, int]
    resyncs: dict[str, int]
    closed: dict[str, int]
    delivery_seconds: DeliverySeconds
    positions: dict[str, int]


def figures_of(hub: Hub, metrics: RealtimeMetrics) -> RealtimeFigures:
    """Now."""
    return RealtimeFigures(
        hub.ready,
        hub.open,
        _total(metrics.received),
        _total(metrics.deliveries),
        _total(metrics.conflated),
        _by_reason(metrics.refused),
        _by_reason(metrics.resyncs),
        _by_reason(metrics.closed),
        _delays(metrics.delivery_seconds),
        {str(partition): position for partition, position in hub.positions().items()},
    )


def _samples(metric: Counter | Histogram, suffix: str) -> list[tuple[dict[str, str], float]]:
    return [
        (dict(each.labels), each.value)
        for family in metric.collect()
        for each in family.samples
        if each.name == family.name + suffix
    ]


def _total(counter: Counter) -> int:
    return int(sum(value for _, value in _samples(counter, "_total")))


def _by_reason(counter: Counter) -> dict[str, int]:
    return {labels["reason"]: int(value) for labels, value in _samples(counter, "_total")}


def _delays(histogram: Histogram) -> DeliverySeconds:
    buckets = [(float(labels["le"]), value) for labels, value in _samples(histogram, "_bucket")]
    count = buckets[-1][1]
    return DeliverySeconds(int(count), *(percentile(buckets, share) for share in (0.5, 0.95, 0.99)))


_NOTHING: Final = (0.0, 0.0)


def percentile(buckets: list[tuple[float, float]], share: float) -> float | None:
    """By linear interpolation within the bucket where it lies, as Prometheus' histogram_quantile.

    `buckets`: upper bound and cumulative count, the last one without a bound. None beyond the last bound.
    """
    wanted = buckets[-1][1] * share
    if not wanted:
        return None
    for (low, below), (high, up_to) in pairwise([_NOTHING, *buckets[:-1]]):
        if up_to >= wanted:
            return round(low + (high - low) * (wanted - below) / (up_to - below), 4)
    return None
