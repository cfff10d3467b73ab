"""Cache invalidation: the floor of each changed day rises, so that no reader can keep an older one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Protocol

from batchers.connection import Reach
from batchers.outbox import OutboxRow
from pipeline.metrics import Metrics
from schemas.records import PropertyKey

Floors = Mapping[PropertyKey, Mapping[date, int]]  # by property, the version of each changed day


class FloorRaiser(Protocol):
    """The cache, as far as the invalidator needs it (pipeline.cache hands it in)."""

    async def raise_floors(self, epoch: str, floors: Floors) -> None:
        """Nothing older than these versions may be read or filled from now on. Raises CacheUnavailable."""
        ...


class Invalidator:
    """Groups the changed days by property, and raises their floors some properties at a time."""

    def __init__(self, cache: FloorRaiser, groups_max: int, metrics: Metrics, reach: Reach) -> None:
        self._cache = cache
        self._groups_max = groups_max
        self._metrics = metrics
        self._reach = reach

    async def invalidate(self, rows: Sequence[OutboxRow]) -> None:
        """Raise the floors of every day that these rows changed. Raises CacheUnavailable."""
        for epoch, floors in floors_by_epoch(rows).items():
            groups = iter(floors.items())
            while chunk := dict(islice(groups, self._groups_max)):
                await self._cache.raise_floors(epoch, chunk)
                self._metrics.invalidated.inc(sum(len(days) for days in chunk.values()))
        self._reach("invalidated")


def floors_by_epoch(rows: Sequence[OutboxRow]) -> dict[str, dict[PropertyKey, dict[date, int]]]:
    """By epoch and property, the newest version of each changed day."""
    floors: dict[str, dict[PropertyKey, dict[date, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        for update, _line in row.updates:
            days = floors[update.epoch][update.org_id, update.property_id]
            days[update.balance_date] = max(update.version, days.get(update.balance_date, 0))
    return floors
