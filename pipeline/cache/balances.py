"""Cached balances under version floors: a reader can be behind the database for a moment, never behind a floor.

Each day of a property has two keys in one slot: `floor`, the lowest version that may be cached, and `value`, a
balance with its version. Raising a floor drops an older value; filling raises the floor to what it
brings, and is refused below it. So a reader that read version 4, slept, and fills after the
invalidation for version 5 fills nothing.

A floor must outlive any fill that can be on its way: fills older than FILL_SECONDS_MAX are refused here, and floors
live ten times as long (settings: redis.floor_ttl_seconds).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from redis.asyncio import Redis

from pipeline.clock import Clock
from pipeline.metrics import Metrics
from pipeline.translate import cache_errors
from schemas.records import PropertyKey

FILL_SECONDS_MAX: Final = 30.0

# KEYS: floor, value, floor, value, ... ARGV: life of a floor in seconds, then a version for each pair.
_RAISE: Final = """
local raised = 0
for i = 1, #KEYS, 2 do
    local version = tonumber(ARGV[(i + 1) / 2 + 1])
    local floor = tonumber(redis.call('GET', KEYS[i]) or 0)
    if floor < version then
        redis.call('SET', KEYS[i], string.format('%d', version), 'EX', ARGV[1])
        raised = raised + 1
    else
        redis.call('EXPIRE', KEYS[i], ARGV[1])
    end
    local value = redis.call('GET', KEYS[i + 1])
    if value and tonumber(string.match(value, '^%d+')) < version then
        redis.call('DEL', KEYS[i + 1])
    end
end
return raised
"""

# KEYS: floor, value. ARGV: version, value, life of the value, life of the floor.
_FILL: Final = """
local version = tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or 0) > version then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[1] .. '|' .. ARGV[2], 'EX', ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class CachedBalance:
    """A balance as it was filled: its version, and the bytes that the reader made of it."""

    version: int
    payload: bytes


class BalanceCache:
    """Cached days by (epoch, org, property, date). Raises CacheUnavailable when Redis does not answer."""

    def __init__(
        self, redis: Redis, clock: Clock, metrics: Metrics, *, value_ttl_seconds: int, floor_ttl_seconds: int
    ) -> None:
        assert floor_ttl_seconds > FILL_SECONDS_MAX
        self._redis = redis
        self._clock = clock
        self._metrics = metrics
        self._value_ttl_seconds = value_ttl_seconds
        self._floor_ttl_seconds = floor_ttl_seconds

    async def raise_floors(self, epoch: str, floors: Mapping[PropertyKey, Mapping[date, int]]) -> None:
        """One round trip: of every day the floor rises to its version, and an older value is dropped."""
        keys = [key for property_key, days in floors.items() for day in days for key in _keys(epoch, property_key, day)]
        versions = [version for days in floors.values() for version in days.values()]
        with cache_errors("raising cache floors"):
            await self._redis.eval(_RAISE, len(keys), *keys, self._floor_ttl_seconds, *versions)

    async def get(self, epoch: str, property_key: PropertyKey, day: date) -> CachedBalance | None:
        """What is cached, never below the day's floor; None on a miss."""
        with cache_errors("reading the cache"):
            value = await self._redis.get(_keys(epoch, property_key, day)[1])
        assert value is None or isinstance(value, bytes), "the client is made without decode_responses"
        self._metrics.cache_reads.labels("hit" if value is not None else "miss").inc()
        if value is None:
            return None
        version, _, payload = value.partition(b"|")
        return CachedBalance(int(version), payload)

    async def fill(
        self, epoch: str, property_key: PropertyKey, day: date, balance: CachedBalance, *, read_at: float
    ) -> bool:
        """Cache what was read from the database at `read_at` (monotonic seconds). False: a floor is above it."""
        if self._clock.monotonic() - read_at > FILL_SECONDS_MAX:
            return False
        with cache_errors("filling the cache"):
            filled = await self._redis.eval(
                _FILL,
                2,
                *_keys(epoch, property_key, day),
                balance.version,
                balance.payload,
                self._value_ttl_seconds,
                self._floor_ttl_seconds,
            )
        return bool(filled)


def _keys(epoch: str, property_key: PropertyKey, day: date) -> tuple[str, str]:
    """Floor and value of a day. The braces put everything of a property into one slot of a cluster."""
    base = f"folio:{{{property_key[0]}:{property_key[1]}}}:{epoch}:{day.isoformat()}"
    return f"{base}:floor", f"{base}:value"
