"""Cached balances under version floors: a reader can be behind the database for a moment, never behind a floor.

Each day of a property that somebody asks for has one entry, `floor|lease` or `floor|lease|balance`: the lowest version
that may be cached, a nonce, and the balance of that version where one is cached. Raising a floor drops an older
balance; filling raises the floor to what it brings, and is refused below it. So a reader that read version 4, slept,
and fills after the invalidation for version 5 fills nothing.

A server may lose an entry at any moment: a flush, a restart, an eviction, the end of its life. The lease covers that.
A miss hands it out, making the entry where there is none, and a fill is refused unless the entry still carries it. So
every fill that was on its way when an entry was lost is refused, whatever is there by then. And a day without an entry
needs no floor: nobody has cached it, nobody can fill it, and who misses it from now on reads what is committed by now.

Leases are those of Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013, section 3.2.1). There each reader has
one of its own; here all readers of an entry share it, because versions already tell which of two fills is the newer.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Protocol

from prometheus_client import Counter
from redis.asyncio import Redis

from pipeline.cache.errors import cache_errors
from pipeline.clock import Clock
from schemas.records import PropertyKey

# A lease guards against entries that are lost, not against entries that come back: a server that restarts from an old
# snapshot, or a replica that takes over before it has everything, brings back an old floor with its lease. This
# bounds how old a fill can be even then. Reading one balance takes milliseconds; nobody needs half a minute.
FILL_SECONDS_MAX: Final = 30

# An entry that cannot be read is as good as lost, and is made anew: losing one is safe. The floor stays text until it
# is compared: as a number of this language, a large one would be written back rounded.
_READ: Final = """
local function read(entry)
    local floor, lease, bar = string.match(entry or '', '^(%d+)|([^|]+)(|?)')
    return floor, lease, bar == '|'
end
"""

# KEYS: the entries. ARGV: a version for each. One that has gone meanwhile stays away.
_RAISE: Final = (
    _READ
    + """
local entries = redis.call('MGET', unpack(KEYS))
for day, entry in ipairs(entries) do
    if entry then
        local floor, lease = read(entry)
        if not lease then
            redis.call('DEL', KEYS[day])
        elseif tonumber(floor) < tonumber(ARGV[day]) then
            redis.call('SET', KEYS[day], ARGV[day] .. '|' .. lease, 'KEEPTTL')
        end
    end
end
"""
)

# KEYS: the entry. ARGV: a nonce, how many seconds a fill may take. Returns the entry, with a balance or to be filled.
_LEASE: Final = (
    _READ
    + """
local entry = redis.call('GET', KEYS[1])
local floor, lease, cached = read(entry)
if cached then
    return entry
end
entry = (floor or '0') .. '|' .. (lease or ARGV[1])
redis.call('SET', KEYS[1], entry, 'EX', ARGV[2])
return entry
"""
)

# KEYS: the entry. ARGV: a nonce, how many seconds a fill may take, a floor. Returns the entry, to be filled.
_LEASE_ANEW: Final = (
    _READ
    + """
local floor, lease = read(redis.call('GET', KEYS[1]))
if tonumber(floor or '0') < tonumber(ARGV[3]) then
    floor = ARGV[3]
end
local entry = (floor or '0') .. '|' .. (lease or ARGV[1])
redis.call('SET', KEYS[1], entry, 'EX', ARGV[2])
return entry
"""
)

# KEYS: the entry. ARGV: version, balance, life of the balance in seconds, lease.
_FILL: Final = (
    _READ
    + """
local floor, lease = read(redis.call('GET', KEYS[1]))
if lease ~= ARGV[4] then
    return 0
end
if tonumber(floor) > tonumber(ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. lease .. '|' .. ARGV[2], 'EX', ARGV[3])
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing is cached of a day; with it comes the right to fill that day. Made by `BalanceCache` alone."""

    key: str
    lease: bytes
    at: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class CachedBalance:
    """A balance as it was filled: its version, and the bytes that the reader made of it.

    `right`: to fill the day anew, though it is cached; of one that was found.
    """

    version: int
    payload: bytes
    right: Miss | None = field(default=None, compare=False, repr=False)


class CountsReads(Protocol):
    """Whoever reads counts its hits and misses: `pipeline.metrics.Metrics`, `pipeline.cache.metrics.TierMetrics`."""

    cache_reads: Counter


class BalanceCache:
    """Cached days by (epoch, org, property, date). Raises CacheUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, clock: Clock, metrics: CountsReads, *, value_ttl_seconds: int) -> None:
        self._redis = redis
        self._clock = clock
        self._metrics = metrics
        self._value_ttl_seconds = value_ttl_seconds

    async def raise_floors(self, epoch: str, floors: Mapping[PropertyKey, Mapping[date, int]]) -> None:
        """Of every day the floor rises to its version, and an older balance is dropped.

        The caller bounds the days: the server does nothing else meanwhile, and a call that takes longer than the
        client waits would take as long when it is tried again.
        """
        versions = {
            _key(epoch, property_key, day): version
            for property_key, days in floors.items()
            for day, version in days.items()
        }
        with cache_errors("raising cache floors"):
            # Most days are changed while nobody looks at them. One that has no entry now needs no floor (see above).
            # The balances of those that have one come along, unread: that is a few of a call's days.
            entries = await self._redis.mget(versions.keys())
            asked_for = [key for key, entry in zip(versions, entries, strict=True) if entry is not None]
            if asked_for:
                await self._redis.eval(_RAISE, len(asked_for), *asked_for, *(versions[key] for key in asked_for))

    async def get(self, epoch: str, property_key: PropertyKey, day: date) -> CachedBalance | Miss:
        """What is cached, never below the day's floor; or a miss, to be filled with what is then read.

        Read it from the primary, and only after this: nothing here tells that a replica is behind.
        """
        key = _key(epoch, property_key, day)
        missed_at = self._clock.monotonic()
        with cache_errors("reading the cache"):
            # One call, hit or miss: a script costs the server a few microseconds, a second trip costs both ends more.
            entry = _parsed(await self._redis.eval(_LEASE, 1, key, _nonce(), FILL_SECONDS_MAX))
        hit, right = len(entry) == _FILLED, Miss(key, entry[1], missed_at)
        self._metrics.cache_reads.labels("hit" if hit else "miss").inc()
        return CachedBalance(int(entry[0]), entry[2], right) if hit else right

    async def refuse(self, epoch: str, property_key: PropertyKey, day: date, floor: int) -> Miss:
        """Make a miss of a hit: the caller knows of a newer version, or cannot read the balance.

        `floor` must be a version that was committed. A balance that was filled meanwhile goes too: that costs a read.
        """
        key = _key(epoch, property_key, day)
        missed_at = self._clock.monotonic()
        with cache_errors("refusing what is cached"):
            entry = _parsed(await self._redis.eval(_LEASE_ANEW, 1, key, _nonce(), FILL_SECONDS_MAX, floor))
        return Miss(key, entry[1], missed_at)

    async def fill(self, miss: Miss, balance: CachedBalance, ttl_seconds: int | None = None) -> bool:
        """Cache what was read from the database after `miss`, for `value_ttl_seconds` unless told otherwise.

        False, and nothing is cached: its floor is above it by now, or its entry was lost meanwhile, or the miss is
        older than FILL_SECONDS_MAX.
        """
        if self._clock.monotonic() - miss.at > FILL_SECONDS_MAX:
            return False
        version, payload, seconds = balance.version, balance.payload, ttl_seconds or self._value_ttl_seconds
        with cache_errors("filling the cache"):
            filled = await self._redis.eval(_FILL, 1, miss.key, version, payload, seconds, miss.lease)
        return bool(filled)


_FILLED: Final = 3  # parts of an entry that holds a balance: floor, lease, balance


def _parsed(entry: object) -> list[bytes]:
    """The parts of an entry; none where there is none, or one that cannot be read."""
    assert entry is None or isinstance(entry, bytes), "the client is made without decode_responses"
    parts = entry.split(b"|", 2) if entry is not None else []
    return parts if parts and parts[0].isdigit() else []


def _nonce() -> str:
    """Made here, not in the server: scripts have no good source of chance."""
    return secrets.token_hex(8)


def _key(epoch: str, property_key: PropertyKey, day: date) -> str:
    """The braces put everything of a property into one slot of a cluster."""
    return f"folio:{{{property_key[0]}:{property_key[1]}}}:{epoch}:{day.isoformat()}"
