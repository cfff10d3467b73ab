"""Figures of this process, taken from its registry as any scraper would: whoever counts them need not know of us."""

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from pipeline.api.overview.document import CacheFigures, GatewayFigures
from pipeline.api.realtime.figures import percentile

_Samples = dict[tuple[str, str], float]  # by name, and the value of its one label or ""


def process_figures(registry: CollectorRegistry) -> tuple[CacheFigures | None, GatewayFigures | None]:
    """The cache's and the gateway's; None of one that this process does not have."""
    samples: _Samples = {}
    for family in registry.collect():
        if family.name.startswith(("folio_cache", "folio_realtime")):
            samples |= {(each.name, _label(each)): each.value for each in family.samples}
    return _cache(samples), _gateway(samples)


def _label(sample: Sample) -> str:
    return next(iter(sample.labels.values()), "")


def _cache(samples: _Samples) -> CacheFigures | None:
    if ("folio_cache_hit_rate", "") not in samples:
        return None
    tiers = [int(samples.get(("folio_cache_answers_total", tier), 0)) for tier in ("l1", "redis", "database")]
    return CacheFigures(samples["folio_cache_hit_rate", ""], *tiers)


def _gateway(samples: _Samples) -> GatewayFigures | None:
    if ("folio_realtime_connections", "") not in samples:
        return None
    buckets = [
        (float(bound), count) for (name, bound), count in samples.items() if name.endswith("delivery_seconds_bucket")
    ]
    return GatewayFigures(
        int(samples["folio_realtime_connections", ""]),
        int(samples["folio_realtime_deliveries_total", ""]),
        percentile(sorted(buckets), 0.95) if buckets else None,
    )
