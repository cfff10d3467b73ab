"""Every metric of cached balances, defined once, with its meaning. No metric carries a tenant."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class TierMetrics:
    """The metrics of one process's tiers, in a registry of their own unless they are given one."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.answers = Counter(
            "folio_cache_answers",
            "Fetches of a day, and hits in L1, by the tier that answered: l1, redis or database.",
            ["tier"],
            registry=self.registry,
        )
        self.cache_reads = Counter(
            "folio_cache_reads", "Reads of cached balances by result.", ["result"], registry=self.registry
        )
        self.misses = Counter(
            "folio_cache_misses", "Times that a tier was asked and had nothing.", ["tier"], registry=self.registry
        )
        self.flight_waits = Counter(
            "folio_cache_flight_waits",
            "Reads that waited for a fetch of the same day instead of making their own.",
            registry=self.registry,
        )
        self.refreshes = Counter(
            "folio_cache_refreshes",
            "Days in L1 that were read anew ahead of their end, by the tier that had them: redis, database or failed.",
            ["tier"],
            registry=self.registry,
        )
        self.bypasses = Counter(
            "folio_cache_bypasses",
            "Times that a tier was passed by, by reason: feed_lost, epoch_unknown, epoch_past or redis_away.",
            ["reason"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "folio_cache_refusals",
            "Hits in Redis that were taken for misses, by reason: below_floor, floor_forgotten, unreadable or ageing.",
            ["reason"],
            registry=self.registry,
        )
        self.l1_entries = Gauge("folio_cache_l1_entries", "Days that this process keeps.", registry=self.registry)
        self.l1_evictions = Counter(
            "folio_cache_l1_evictions", "Days that left L1 for others, before their time.", registry=self.registry
        )
        self.l1_invalidations = Counter(
            "folio_cache_l1_invalidations",
            "Days in L1 that an update made old: what it said took their place.",
            registry=self.registry,
        )
        self.l1_emptied = Counter(
            "folio_cache_l1_emptied",
            "Times that L1 was emptied, by reason: epoch, feed_lost or feed_back.",
            ["reason"],
            registry=self.registry,
        )
        self.floors = Gauge(
            "folio_cache_floors", "Days whose newest version this process remembers.", registry=self.registry
        )
        self.warmed = Counter(
            "folio_cache_warmed", "Days read at start, by result: read or failed.", ["result"], registry=self.registry
        )
        self.rate = Gauge(
            "folio_cache_hit_rate",
            "The part of all answers since the start that L1 or Redis gave; 0 when there was none.",
            registry=self.registry,
        )
        self.rate.set_function(self.hit_rate)

    def hit_rate(self) -> float:
        """The part of all answers that did not come from the database. A wait for another's fetch is none."""
        samples = [sample for metric in self.answers.collect() for sample in metric.samples]
        answers = {each.labels["tier"]: each.value for each in samples if each.name == "folio_cache_answers_total"}
        total = sum(answers.values())
        return 1 - answers.get("database", 0.0) / total if total else 0.0
