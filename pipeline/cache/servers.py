"""What stands behind the tiers, as they see it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from pipeline.cache.floors import DayKey
from pipeline.storage.primary import PrimaryDay

T = TypeVar("T")


class Guarded(Protocol):
    """What stands before a server: a bulkhead, a breaker, a bound on time."""

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns. Raises what it raises, or a Transient instead of running it."""
        ...


class Primary(Protocol):
    """Where misses are filled from: `pipeline.storage.primary.PrimaryBalances`."""

    async def of_day(self, day: DayKey) -> PrimaryDay: ...
