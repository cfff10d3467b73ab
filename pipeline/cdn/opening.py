"""The assembly: purges of a worker, made from settings."""

from pipeline.cache.lifetimes import Lifetimes
from pipeline.cdn.client import CdnClient
from pipeline.cdn.metrics import CdnMetrics
from pipeline.cdn.purges import Gate, Purges
from pipeline.cdn.queue import PurgeQueue, QueueBounds
from pipeline.clock import Clock
from pipeline.settings_serving import CacheSettings, CdnSettings


def new_purges(cdn: CdnSettings, cache: CacheSettings, gate: Gate, clock: Clock, metrics: CdnMetrics) -> Purges | None:
    """None where there is no CDN. `cache` says how long answers live there, as it does where they are served."""
    if cdn.purge_url is None:
        return None
    life_seconds_max = Lifetimes(cache.active_ttl_seconds, cache.past_ttl_seconds).longest
    queue = PurgeQueue(QueueBounds(cdn.waiting_tags_max, cdn.again_seconds, life_seconds_max))
    return Purges(CdnClient(cdn.purge_url, cdn), gate, queue, clock, metrics, cdn.request_tags_max)
