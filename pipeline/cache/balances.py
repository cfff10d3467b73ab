"""Cached balances under version floors: a reader can be behind the database for a moment, never behind a floor.

Each day of a property has two keys in one slot: `floor`, the lowest version that may be cached, with a lease, and
`value`, a balance with its version. Raising a floor drops an older value; filling raises the floor to what it brings,
and is refused below it. So a reader that read version 4, slept, and fills after the invalidation for version 5 fills
nothing.

A server may lose a floor at any moment: a flush, a restart, an eviction, the end of its life. The lease covers that.
It is a nonce that comes and goes with the floor: whoever makes the floor makes it, a miss hands it out (and makes a
floor where there is none), and a fill is refused unless the floor still carries it. So every fill that was on its way
when a floor was lost is refused, whatever is there by then.

Leases are those of Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013, section 3.2.1). There each reader has
one of its own; here all readers of a floor share it, because versions already tell which of two fills is the newer.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from redis.asyncio import Redis

from pipeline.cache.errors import cache_errors
from pipeline.clock import Clock
from pipeline.metrics import Metrics
from schemas.records import PropertyKey

# A lease guards against keys that are lost, not against keys that come back: a server that restarts from an old
# snapshot, or a replica that takes over before it has everything, brings back an old floor with its lease. This
# bounds how old a fill can be even then. Reading one balance takes milliseconds; nobody needs half a minute.
FILL_SECONDS_MAX: Final = 30
_FLOOR_KEY: Final = ":floor"
_VALUE_KEY: Final = ":value"

# A floor that cannot be read is as good as lost, and is made anew: losing one is safe.
_FLOOR: Final = """
local function read_floor(floor)
    local version, lease = string.match(floor or '', '^(%d+)|(.+)$')
    return tonumber(version or 0), lease
end
local function floor_of(key)
    return read_floor(redis.call('GET', key))
end
"""

# KEYS: every floor, then every value. ARGV: life of a floor in seconds, a nonce, then a version for each pair.
# What is in the server's hands is mostly the number of commands: one for all floors, one for all values.
_RAISE: Final = (
    _FLOOR
    + """
local days = #KEYS / 2
local floors = redis.call('MGET', unpack(KEYS, 1, days))
local outdated = {}
for day = 1, days do
    local version = tonumber(ARGV[day + 2])
    local floor, lease = read_floor(floors[day])
    local raised = string.format('%d|%s', math.max(floor, version), lease or ARGV[2])
    redis.call('SET', KEYS[day], raised, 'EX', ARGV[1])
    -- A fill raises the floor to what it brings: a value is never above its floor, so a new floor is above the value.
    if version > floor then
        outdated[#outdated + 1] = KEYS[days + day]
    end
end
if #outdated > 0 then
    redis.call('DEL', unpack(outdated))
end
"""
)

# KEYS: floor, value. ARGV: a nonce, life of a floor that is made here. Returns the value and no lease, or the reverse.
_LEASE: Final = (
    _FLOOR
    + """
local value = redis.call('GET', KEYS[2])
if value then
    return {value, false}
end
local _, lease = floor_of(KEYS[1])
if not lease then
    lease = ARGV[1]
    redis.call('SET', KEYS[1], '0|' .. lease, 'EX', ARGV[2])
end
return {false, lease}
"""
)

# KEYS: floor, value. ARGV: version, value, life of the value, life of the floor, lease.
_FILL: Final = (
    _FLOOR
    + """
local floor, lease = floor_of(KEYS[1])
if lease ~= ARGV[5] then
    return 0
end
if floor > tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. lease, 'EX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[1] .. '|' .. ARGV[2], 'EX', ARGV[3])
return 1
"""
)


@dataclass(frozen=True, slots=True)
class CachedBalance:
    """A balance as it was filled: its version, and the bytes that the reader made of it."""

    version: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing is cached of a day; with it comes the right to fill that day. Made by `BalanceCache.get` alone."""

    keys: tuple[str, str]  # floor and value
    lease: bytes
    at: float  # monotonic seconds


class BalanceCache:
    """Cached days by (epoch, org, property, date). Raises CacheUnavailable when Redis does not answer."""

    def __init__(
        self, redis: Redis, clock: Clock, metrics: Metrics, *, value_ttl_seconds: int, floor_ttl_seconds: int
    ) -> None:
        # Shorter would be safe, but the slower fills would all find their lease gone.
        assert floor_ttl_seconds > FILL_SECONDS_MAX
        self._redis = redis
        self._clock = clock
        self._metrics = metrics
        self._value_ttl_seconds = value_ttl_seconds
        self._floor_ttl_seconds = floor_ttl_seconds

    async def raise_floors(self, epoch: str, floors: Mapping[PropertyKey, Mapping[date, int]]) -> None:
        """One round trip: of every day the floor rises to its version, and an older value is dropped.

        The caller bounds the days: the server does nothing else meanwhile, and a call that takes longer than the
        client waits would take as long when it is tried again.
        """
        bases = [_base(epoch, property_key, day) for property_key, days in floors.items() for day in days]
        keys = [base + _FLOOR_KEY for base in bases] + [base + _VALUE_KEY for base in bases]
        versions = [version for days in floors.values() for version in days.values()]
        with cache_errors("raising cache floors"):
            await self._redis.eval(_RAISE, len(keys), *keys, self._floor_ttl_seconds, _nonce(), *versions)

    async def get(self, epoch: str, property_key: PropertyKey, day: date) -> CachedBalance | Miss:
        """What is cached, never below the day's floor; or a miss, to be filled with what is then read.

        Read it from the primary, and only after this: a replica may be behind a floor that was lost.
        """
        keys = _keys(epoch, property_key, day)
        missed_at = self._clock.monotonic()
        with cache_errors("reading the cache"):
            # Most reads are hits, and a plain GET is all that they cost. A miss goes on to the database anyway.
            value, lease = await self._redis.get(keys[1]), b""
            if value is None:
                value, lease = await self._redis.eval(_LEASE, 2, *keys, _nonce(), FILL_SECONDS_MAX)
        assert value is None or isinstance(value, bytes), "the client is made without decode_responses"
        self._metrics.cache_reads.labels("hit" if value is not None else "miss").inc()
        if value is None:
            return Miss(keys, lease, missed_at)
        version, _, payload = value.partition(b"|")
        return CachedBalance(int(version), payload)

    async def fill(self, miss: Miss, balance: CachedBalance) -> bool:
        """Cache what was read from the database after `miss`.

        False, and nothing is cached: its floor is above it by now, or was lost meanwhile, or the miss is older than
        FILL_SECONDS_MAX.
        """
        if self._clock.monotonic() - miss.at > FILL_SECONDS_MAX:
            return False
        with cache_errors("filling the cache"):
            filled = await self._redis.eval(
                _FILL,
                2,
                *miss.keys,
                balance.version,
                balance.payload,
                self._value_ttl_seconds,
                self._floor_ttl_seconds,
                miss.lease,
            )
        return bool(filled)


def _nonce() -> str:
    """Made here, not in the server: scripts have no good source of chance. One a call is enough: it is by key."""
    return secrets.token_hex(8)


def _keys(epoch: str, property_key: PropertyKey, day: date) -> tuple[str, str]:
    """Floor and value of a day."""
    base = _base(epoch, property_key, day)
    return base + _FLOOR_KEY, base + _VALUE_KEY


def _base(epoch: str, property_key: PropertyKey, day: date) -> str:
    """What the keys of a day begin with. The braces put everything of a property into one slot of a cluster."""
    return f"folio:{{{property_key[0]}:{property_key[1]}}}:{epoch}:{day.isoformat()}"
