"""Changed days as a worker's batches bring them, and what each call of the cache takes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

from batchers.invalidator import Floors, Invalidator
from batchers.outbox import OutboxRow
from bench.histogram import Histogram
from pipeline.cache.balances import BalanceCache
from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.metrics import Metrics
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import worker_guards
from pipeline.settings import RedisSettings
from pipeline.settings_serving import ResilienceSettings
from schemas.updates import BalanceUpdate, EncodedUpdate

# An entry with a balance takes some 500 bytes: were all cached, they would stay below the local cache's 256 MiB.
POPULATION_DAYS: Final = 200_000
# What a batch of 5,000 events changes, about (docs/performance.md).
BATCH_DAYS: Final = 2_500
EPOCH: Final = "bench-1"
_TODAY: Final = date(2026, 1, 31)
_BATCH: Final = UUID(int=0)
_CHANGED_AT: Final = datetime(2026, 1, 31, tzinfo=UTC)


def batches(
    days_per_property: int, batch_days: int = BATCH_DAYS, population: int = POPULATION_DAYS
) -> Iterator[list[OutboxRow]]:
    """Endless batches over the same population of days: each time one comes by, it has its next version."""
    properties = population // days_per_property
    dates = [_TODAY - timedelta(days=back) for back in range(days_per_property)]
    due = (_update(number % properties, day, number // properties + 1) for number in count() for day in dates)
    for seq in count(1):
        updates = [next(due) for _ in range(batch_days)]
        yield [OutboxRow(0, seq, updates, _BATCH)]


def _update(property_number: int, day: date, version: int) -> EncodedUpdate:
    org_id, property_id = divmod(property_number, 4)
    update = BalanceUpdate(
        org_id=org_id + 1,
        property_id=property_id + 1,
        balance_date=day,
        epoch=EPOCH,
        version=version,
        opening_balance_cents=0,
        cash_received_cents=0,
        bank_received_cents=0,
        cash_expenses_cents=0,
        bank_expenses_cents=0,
        calculated_closing_balance_cents=0,
        declared_closing_cents=None,
        closing_balance_cents=0,
        balance_discrepancy_cents=0,
        changed_at=_CHANGED_AT,
        cause="event",
        event_id=None,
    )
    return EncodedUpdate(update, b"")


@dataclass(slots=True)
class TimedCache:
    """The cache as the invalidator sees it, with a clock beside each call."""

    cache: BalanceCache
    calls: Histogram = field(default_factory=Histogram)
    floors: int = 0
    failed: int = 0

    async def raise_floors(self, epoch: str, floors: Floors) -> None:
        started = time.perf_counter_ns()
        try:
            await self.cache.raise_floors(epoch, floors)
        except BaseException:
            self.failed += 1
            raise
        self.calls.record_ns(time.perf_counter_ns() - started)
        self.floors += sum(len(days) for days in floors.values())


@dataclass(frozen=True, slots=True)
class Parts:
    """The product's parts, put together as `pipeline.app` does it."""

    redis: Redis
    cache: BalanceCache
    timed: TimedCache
    invalidator: Invalidator

    async def server_cpu_seconds(self) -> float:
        """What the cache server has used so far, by itself; works for one on another machine, too."""
        found = await self.redis.info("cpu")
        return float(found["used_cpu_sys"]) + float(found["used_cpu_user"])

    async def close(self) -> None:
        await self.redis.aclose()


def parts(url: str, groups_max: int, settings: RedisSettings | None = None) -> Parts:
    """The invalidator with so many properties a call. Close it."""
    chosen = settings or RedisSettings()
    metrics = Metrics()
    redis = new_redis(url, chosen)
    guards = worker_guards(ResilienceSettings(), SystemClock(), ResilienceMetrics(metrics.registry))
    cache = BalanceCache(redis, SystemClock(), metrics, value_ttl_seconds=chosen.value_ttl_seconds)
    timed = TimedCache(cache)
    return Parts(redis, cache, timed, Invalidator(timed, guards.redis, groups_max, metrics, _nothing))


def _nothing(_point: str) -> None:
    """Nobody is crashed here."""
