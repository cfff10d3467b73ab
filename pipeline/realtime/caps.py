"""How many subscriptions a user and an organisation have, over all processes: leases in Redis.

Each subscription holds a place in the set of its user and in that of its organisation, until a moment that its process
moves on again and again. A process that was killed gives its places back by no longer doing so.

The bounds protect the service, not the books; so where Redis is away everybody is taken, under the bounds of the
process alone, and it is counted.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final

import structlog
from redis.asyncio import Redis

from pipeline.cache.errors import cache_errors
from pipeline.errors import Transient
from pipeline.realtime.messages import Refusal
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.realtime.subscription import Subscriber
from pipeline.resilience.guard import Guard

log = structlog.get_logger()

LEASE_SECONDS: Final = 90
_RENEW_SECONDS: Final = 30.0
# In one trip to the server: a place costs 10 us then, and ten thousand subscribers have twenty thousand.
_RENEWED_AT_ONCE: Final = 500

# KEYS: a set of leases. ARGV: the lease, its seconds, the bound. By the clock of the server alone. A lease that is
# there is of an attempt whose answer was lost: it is no other one.
_TAKE: Final = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    return 0
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""

# KEYS: a set of leases. ARGV: seconds, then leases. One that is not there is taken again: the server had lost it.
_RENEW: Final = """
local ends = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[1])
for i = 2, #ARGV do
    redis.call('ZADD', KEYS[1], ends, ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


@dataclass(frozen=True, slots=True)
class CapBounds:
    """Subscriptions at most, over all processes."""

    user_max: int
    org_max: int


class Caps:
    """The places of this process, among those of all."""

    def __init__(self, redis: Redis, guard: Guard, bounds: CapBounds, metrics: RealtimeMetrics) -> None:
        self._redis = redis
        self._guard = guard
        self._bounds = bounds
        self._metrics = metrics
        self._held: dict[str, set[str]] = {}  # leases by key
        self._giving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def places(self, who: Subscriber) -> AsyncIterator[Refusal | None]:
        """Hold both places while the block runs, or say which one there is not."""
        lease = secrets.token_hex(8)
        user, org = _key("user", who.user_id), _key("org", str(who.org_id))
        refusal: Refusal | None = None
        try:
            if not await self._take(user, lease, self._bounds.user_max):
                refusal = Refusal.USER_FULL
            elif not await self._take(org, lease, self._bounds.org_max):
                refusal = Refusal.ORG_FULL
            yield refusal
        finally:
            # One task for both, which goes on though we are cancelled once more: the loop itself holds it weakly.
            giving = asyncio.create_task(self._give_both_back(user, org, lease))
            self._giving.add(giving)
            giving.add_done_callback(self._giving.discard)
            await asyncio.shield(giving)

    async def run(self) -> None:
        """Keep the places that are held, until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self.renew()

    async def renew(self) -> None:
        """Move the ends of all places on; where Redis is away the next round brings them back."""
        keys = list(self._held)
        for at in range(0, len(keys), _RENEWED_AT_ONCE):
            try:
                await self._guard.call(partial(self._renew, keys[at : at + _RENEWED_AT_ONCE]))
            except Transient:
                return

    async def _take(self, key: str, lease: str, bound: int) -> bool:
        # Before it is asked for: whoever is cancelled meanwhile gives back what may have been taken.
        self._held.setdefault(key, set()).add(lease)
        try:
            taken = bool(await self._run(_TAKE, key, lease, LEASE_SECONDS, bound))
        except Transient:
            self._metrics.caps_unguarded.inc()
            return True
        if not taken:
            self._forget(key, lease)
        return taken

    async def _give_both_back(self, user: str, org: str, lease: str) -> None:
        for key in (user, org):
            await self._give_back(key, lease)

    async def _give_back(self, key: str, lease: str) -> None:
        if not self._forget(key, lease):
            return
        try:
            await self._guard.call(lambda: self._remove(key, lease))
        except Transient:
            log.debug("a place was not given back, and ends by itself", key=key)

    def _forget(self, key: str, lease: str) -> bool:
        """Whether it was held."""
        held = self._held.get(key, set())
        if lease not in held:
            return False
        held.discard(lease)
        if not held:
            del self._held[key]
        return True

    async def _renew(self, keys: list[str]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            # Given back since we looked: nothing is there to be renewed.
            if leases := self._held.get(key):
                pipeline.eval(_RENEW, 1, key, LEASE_SECONDS, *sorted(leases))
        with cache_errors("keeping places of subscriptions"):
            await pipeline.execute()

    async def _run(self, script: str, key: str, *arguments: str | int) -> object:
        async def work() -> object:
            with cache_errors("counting subscriptions"):
                return await self._redis.eval(script, 1, key, *arguments)

        return await self._guard.call(work)

    async def _remove(self, key: str, lease: str) -> None:
        with cache_errors("giving a place back"):
            await self._redis.zrem(key, lease)


def _key(kind: str, name: str) -> str:
    return f"folio:realtime:{kind}:{blake2b(name.encode(), digest_size=16).hexdigest()}"
