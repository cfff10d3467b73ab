"""Cache invalidation: the floor of each changed day rises, so that no reader can keep an older one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import islice
from typing import Final, Protocol

from batchers.connection import Reach
from batchers.gate import Gate
from batchers.outbox import OutboxRow
from pipeline.metrics import Metrics
from schemas.records import PropertyKey

Floors = Mapping[PropertyKey, Mapping[date, int]]  # by property, the version of each changed day

# One late event may change tens of thousands of days of one property. The server does nothing else during a call, and
# a call that outlasts the client's timeout (2 s) would be repeated for ever: 200,000 days took 1.5 to 3.8 s, 2,000
# days 13 to 30 ms. Smaller calls save nothing more: the time goes with the days, not with the calls.
CALL_DAYS_MAX: Final = 2_000


class FloorRaiser(Protocol):
    """The cache, as far as the invalidator needs it (pipeline.cache hands it in)."""

    async def raise_floors(self, epoch: str, floors: Floors) -> None:
        """Nothing older than these versions may be read or filled from now on. Raises CacheUnavailable."""
        ...


class Invalidator:
    """Groups the changed days by property, and raises their floors so many properties and days at a time."""

    def __init__(self, cache: FloorRaiser, gate: Gate, groups_max: int, metrics: Metrics, reach: Reach) -> None:
        self._cache = cache
        self._gate = gate
        self._groups_max = groups_max
        self._metrics = metrics
        self._reach = reach

    async def invalidate(self, rows: Sequence[OutboxRow]) -> None:
        """Raise the floors of every day that these rows changed. Raises CacheUnavailable, NotAsked."""
        with self._metrics.attempted("invalidate"):
            for epoch, floors in floors_by_epoch(rows).items():
                for call in bounded_calls(floors, self._groups_max, CALL_DAYS_MAX):
                    # A floor that is raised twice is as high as before.
                    await self._gate.call(partial(self._cache.raise_floors, epoch, call))
                    self._metrics.invalidated.inc(sum(len(days) for days in call.values()))
        self._reach("invalidated")


def floors_by_epoch(rows: Sequence[OutboxRow]) -> dict[str, dict[PropertyKey, dict[date, int]]]:
    """By epoch and property, the newest version of each changed day."""
    floors: dict[str, dict[PropertyKey, dict[date, int]]] = defaultdict(dict)
    for row in rows:
        for update, _line in row.updates:
            key, day, version = (update.org_id, update.property_id), update.balance_date, update.version
            of_epoch = floors[update.epoch]
            days = of_epoch.get(key)
            if days is None:
                of_epoch[key] = {day: version}
            elif version > days.get(day, 0):
                days[day] = version
    return floors


def bounded_calls(floors: Floors, groups_max: int, days_max: int) -> Iterator[Floors]:
    """The same floors in parts of at most so many properties and days. A property of many days comes in several."""
    call: dict[PropertyKey, Mapping[date, int]] = {}
    taken = 0
    for property_key, days in floors.items():
        rest = days
        while rest:
            fitting, rest = _split(rest, days_max - taken)
            call[property_key] = fitting
            taken += len(fitting)
            if len(call) == groups_max or taken == days_max:
                yield call
                call, taken = {}, 0
    if call:
        yield call


def _split(days: Mapping[date, int], most: int) -> tuple[Mapping[date, int], Mapping[date, int]]:
    """The first of the days, so many at most, and the others. Nearly always all of them fit."""
    if len(days) <= most:
        return days, {}
    items = iter(days.items())
    return dict(islice(items, most)), dict(items)
