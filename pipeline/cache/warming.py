"""The first readers after a start meet a cache that already has what is asked for most: today, where things happen.

Who reads the topic of updates hands in the newest ones: no table says across organisations where something happened
last, and no reader may see them all.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final, Protocol

import structlog

from pipeline.cache.floors import DayKey
from pipeline.cache.lifetimes import may_be_active
from pipeline.cache.metrics import TierMetrics
from pipeline.clock import Clock
from pipeline.settings_serving import CacheSettings
from schemas.updates import BalanceUpdate

# A fraction of the primary's connections (50): those who really wait are readers that have already come.
_AT_ONCE: Final = 4

log = structlog.get_logger()


class ReadsDays(Protocol):
    """`pipeline.cache.tiers.TieredBalances`, as far as warming needs it."""

    async def of_day(self, org_id: int, property_id: int, day: date) -> object: ...


def days_to_warm(newest_first: Iterable[BalanceUpdate], now: datetime, most: int) -> list[DayKey]:
    """Of the properties that changed last, so many at most, the day in which they are."""
    days: dict[tuple[int, int], DayKey] = {}
    for update in newest_first:
        if may_be_active(update.balance_date, now):
            key = (update.org_id, update.property_id)
            if key not in days and len(days) == most:
                continue
            known = days.get(key)
            if known is None or known[2] < update.balance_date:
                days[key] = (*key, update.balance_date)
    return list(days.values())


async def warm(
    balances: ReadsDays,
    newest_first: Sequence[BalanceUpdate],
    settings: CacheSettings,
    clock: Clock,
    metrics: TierMetrics,
) -> int:
    """Read these days, and return how many came. Ends in time, and raises nothing: a start goes on."""
    days = iter(days_to_warm(newest_first, clock.now(), settings.warm_properties_max))
    read = 0

    async def reader() -> None:
        nonlocal read
        for org_id, property_id, day in days:
            try:
                await balances.of_day(org_id, property_id, day)
            except Exception as error:  # noqa: BLE001  # whatever it is, readers will meet it by themselves
                metrics.warmed.labels("failed").inc()
                log.warning("a day could not be read ahead", error=repr(error))
                return  # what is away is not asked two hundred times
            read += 1
            metrics.warmed.labels("read").inc()

    try:
        async with asyncio.timeout(settings.warm_seconds), asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(reader())
    except TimeoutError:
        log.info("reading ahead ended at its bound", days_read=read, seconds=settings.warm_seconds)
    return read
