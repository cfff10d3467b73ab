"""The first answer to a key, again to whoever sends the same request with it: `Idempotency-Key`, 24 hours.

As in draft-ietf-httpapi-idempotency-key-header: the key is the caller's, another body under it is an error, and who
comes while the first one is still being answered waits for that answer. Only what was done is remembered: a refusal has
done nothing, and after a failure the same request is to be tried again.

Redis is no part of the promise. An event has a version, which makes sending it twice harmless; so where Redis is away,
or has lost a key, the request is carried out once more, and counted.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from math import ceil
from typing import Final

import msgspec
from litestar.status_codes import HTTP_202_ACCEPTED
from redis.asyncio import Redis

from pipeline.api.metrics import ApiMetrics
from pipeline.api.tokens import Principal
from pipeline.cache.errors import cache_errors
from pipeline.clock import Clock
from pipeline.errors import Transient
from pipeline.resilience.guard import Guard

KEY_CHARS_MAX: Final = 255
KEPT_SECONDS: Final = 24 * 60 * 60
# What else an answer may take besides the broker and the stream: the database, a machine that stands for a while.
_SLACK_SECONDS: Final = 15.0
# Twice as long each time: the first answer takes milliseconds, or seconds of the stream, and a thousand twins that look
# fifty times a second would take all the calls that Redis is given.
_LOOK_SECONDS: Final = 0.02
_LOOK_SECONDS_MAX: Final = 0.5

# KEYS: the key. ARGV: what its holder has put there, what it is to become, how long that is kept; or 0: nothing.
_SETTLE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
if ARGV[3] == '0' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
return 1
"""


class KeyReused(Exception):
    """The key was used with another body; the message says what to do."""


class StillAnswering(Exception):
    """The first request with this key has not been answered for too long; the message says what to do."""


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """For how long a key is held by who is answering, and for how long a twin waits for that.

    Held longer than an answer takes at most; who dies with a key leaves it to the next one then.
    """

    held_seconds: int = 60
    waited_seconds: float = 30

    @classmethod
    def of_answers(cls, published_seconds: float, applied_seconds: float) -> "KeyBounds":
        """By what these take at most: to be published, and applied. A twin waits for the first of them."""
        usual = cls()
        return cls(
            max(usual.held_seconds, ceil(applied_seconds + _SLACK_SECONDS)),
            max(usual.waited_seconds, published_seconds),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Once:
    """An answer, and whether it was given before."""

    answer: Answer
    replayed: bool


Work = Callable[[], Awaitable[Answer]]


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """What stands under a key. `body` is None while it is being answered."""

    digest: bytes
    holder: bytes
    body: bytes | None
    status: int = HTTP_202_ACCEPTED  # which processes that know of no other one leave out

    def answer(self) -> Answer | None:
        return Answer(self.status, self.body) if self.body is not None else None


class Idempotency:
    """Keys of all processes, in Redis."""

    def __init__(
        self, redis: Redis, guard: Guard, clock: Clock, metrics: ApiMetrics, bounds: KeyBounds = KeyBounds()
    ) -> None:
        self._redis = redis
        self._guard = guard
        self._clock = clock
        self._metrics = metrics
        self._bounds = bounds

    async def once(self, principal: Principal, key: str, request: bytes, work: Work) -> Once:
        """What `work` returns, or has returned to the same request before.

        Raises KeyReused, StillAnswering, and what the work raises.
        """
        name = _name(principal, key)
        mine = _Entry(blake2b(request, digest_size=16).digest(), secrets.token_bytes(8), None)
        try:
            answer = await self._taken_or_answered(name, mine)
        except Transient:
            self._metrics.idempotency.labels("unguarded").inc()
            return Once(await work(), replayed=False)
        if answer is not None:
            self._metrics.idempotency.labels("replayed").inc()
            return Once(answer, replayed=True)
        return Once(await self._worked(name, mine, work), replayed=False)

    async def _taken_or_answered(self, name: str, mine: _Entry) -> Answer | None:
        """The answer that was given, or None: the key is ours."""
        deadline, pause = self._clock.monotonic() + self._bounds.waited_seconds, _LOOK_SECONDS
        while True:
            found = await self._take(name, mine)
            if found is None:
                return None
            if found.digest != mine.digest:
                self._metrics.idempotency.labels("reused").inc()
                raise KeyReused("this Idempotency-Key was used with another request: take a new key for a new request")
            answer = found.answer()
            if answer is not None:
                return answer
            if self._clock.monotonic() > deadline:
                raise StillAnswering("the first request with this key is still being answered: ask again")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LOOK_SECONDS_MAX)

    async def _take(self, name: str, mine: _Entry) -> _Entry | None:
        """What stands under the key; None: it was free, and is ours now."""

        async def take() -> bytes | None:
            with cache_errors("taking an idempotency key"):
                found = await self._redis.set(
                    name, msgspec.msgpack.encode(mine), nx=True, get=True, ex=self._bounds.held_seconds
                )
            assert found is None or isinstance(found, bytes), "with GET, the answer is what was there"
            return found

        found = await self._guard.call(take)
        entry = msgspec.msgpack.decode(found, type=_Entry) if found is not None else None
        # Our own: an attempt whose answer was lost has taken it.
        return None if entry == mine else entry

    async def _worked(self, name: str, mine: _Entry, work: Work) -> Answer:
        try:
            answer = await work()
        except BaseException:
            await asyncio.shield(self._settle(name, mine, None))  # whoever comes next need not wait for our end
            raise
        await self._settle(name, mine, msgspec.structs.replace(mine, body=answer.body, status=answer.status))
        self._metrics.idempotency.labels("first").inc()
        return answer

    async def _settle(self, name: str, mine: _Entry, done: _Entry | None) -> None:
        encode = msgspec.msgpack.encode
        kept = (encode(done), KEPT_SECONDS) if done is not None else (b"", 0)

        async def settle() -> None:
            with cache_errors("noting an answer"):
                await self._redis.eval(_SETTLE, 1, name, encode(mine), *kept)

        try:
            await self._guard.call(settle)
        except Transient:
            self._metrics.idempotency.labels("forgotten").inc()


def _name(principal: Principal, key: str) -> str:
    """A key belongs to who may do the same: an answer is given again without asking whether it still may be.

    So whoever has lost a right, or gained one, is judged anew. Encoded, and not put together by a character that a
    subject may hold itself: `a` with the key `b|c` is not `a|b` with `c`.
    """
    holder = (principal.subject, sorted(principal.orgs), sorted(principal.roles), key)
    return f"folio:idempotency:{blake2b(msgspec.msgpack.encode(holder), digest_size=16).hexdigest()}"
