"""Places of subscribers over all processes, in a real Redis: taken, renewed, given back, lost with whoever had them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.realtime.caps import _TAKE, LEASE_SECONDS, CapBounds, Caps
from pipeline.realtime.messages import Refusal
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.realtime.subscription import Subscriber
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings import RedisSettings
from pipeline.settings_serving import ResilienceSettings
from pipeline.stack import Endpoints

ORG = 7


def caps_of(redis: Redis, metrics: RealtimeMetrics | None = None) -> Caps:
    """Those of one process: two of a user, three of an organisation."""
    guard = new_guard(Part.REDIS, ResilienceSettings(), SystemClock(), ResilienceMetrics())
    return Caps(redis, guard, CapBounds(2, 3), metrics or RealtimeMetrics())


@pytest.fixture
def user() -> str:
    return secrets.token_hex(8)


@pytest_asyncio.fixture
async def clean(stack: Endpoints) -> AsyncIterator[Redis]:
    """A part of the server that nobody else uses."""
    client = new_redis(stack.redis_url.rpartition("/")[0] + "/7", RedisSettings())
    await client.flushdb()
    yield client
    await client.flushdb()
    await client.aclose()


async def test_places_are_bounded_by_user_and_by_organisation(clean: Redis, user: str) -> None:
    one, two = caps_of(clean), caps_of(clean)
    async with AsyncExitStack() as held:

        async def take(caps: Caps, who: str) -> Refusal | None:
            return await held.enter_async_context(caps.places(Subscriber(ORG, who)))

        assert [await take(caps, user) for caps in (one, two, one)] == [None, None, Refusal.USER_FULL]
        assert [await take(caps, "other") for caps in (two, one)] == [None, Refusal.ORG_FULL]
    async with one.places(Subscriber(ORG, user)) as refusal:
        assert refusal is None, "all were given back, those of the refused ones too"


async def test_renewed_places_go_on_and_those_of_the_dead_end(clean: Redis, user: str) -> None:
    alive, dead = caps_of(clean), caps_of(clean)
    async with alive.places(Subscriber(ORG, user)):
        await dead.places(Subscriber(ORG, user)).__aenter__()  # and never again: its process was killed
        keys = await clean.keys("folio:realtime:*")
        assert len(keys) == 2
        for key in keys:  # as if most of the time had gone by
            for lease in await clean.zrange(key, 0, -1):
                assert isinstance(lease, bytes)
                await clean.zincrby(key, -LEASE_SECONDS + 1, lease)
        await alive.renew()
        await asyncio.sleep(2.1)
        async with caps_of(clean).places(Subscriber(ORG, user)) as refusal:
            assert refusal is None, "the place of the dead one is free"
        ends = [await clean.zcard(key) for key in keys]
        assert ends == [1, 1], "the living one has kept its own"


async def test_a_server_that_has_lost_everything_is_told_again(clean: Redis, user: str) -> None:
    caps = caps_of(clean)
    async with caps.places(Subscriber(ORG, user)), caps.places(Subscriber(ORG, user)):
        await clean.flushdb()
        await caps.renew()
        async with caps_of(clean).places(Subscriber(ORG, user)) as refusal:
            assert refusal is Refusal.USER_FULL


async def test_without_redis_everybody_is_taken_and_counted(user: str) -> None:
    away = new_redis("redis://127.0.0.1:9/0", RedisSettings(timeout_seconds=0.2))
    metrics = RealtimeMetrics()
    caps = caps_of(away, metrics)
    async with caps.places(Subscriber(ORG, user)) as refusal:
        assert refusal is None
    assert metrics.registry.get_sample_value("folio_realtime_caps_unguarded_total") == 2
    await away.aclose()


async def test_who_is_cancelled_while_taking_leaves_no_place(clean: Redis, user: str) -> None:
    caps = caps_of(clean)

    async def come() -> None:
        async with caps.places(Subscriber(ORG, user)):
            await asyncio.sleep(10)

    for turns in range(30):
        task = asyncio.create_task(come())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.sleep(0.2)
    assert sum([await clean.zcard(key) for key in await clean.keys("folio:realtime:*")]) == 0


async def test_who_is_cancelled_again_while_giving_back_leaves_no_place(clean: Redis, user: str) -> None:
    """As where somebody unsubscribes and hangs up: what is kept would be renewed as long as the process lives."""
    caps, entered = caps_of(clean), asyncio.Event()

    async def follow() -> None:
        async with caps.places(Subscriber(ORG, user)):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(follow())
    await entered.wait()
    await clean.client_pause(300)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.05)
    await asyncio.wait([task])
    await asyncio.sleep(0.5)
    await caps.renew()
    assert [name async for name in clean.scan_iter("folio:realtime:*")] == []


async def test_an_attempt_whose_answer_was_lost_is_not_counted_twice(clean: Redis, user: str) -> None:
    caps = caps_of(clean)
    key = f"folio:realtime:test:{user}"
    for lease, taken in (("one", 1), ("two", 1), ("two", 1), ("three", 0)):
        assert await caps._run(_TAKE, key, lease, LEASE_SECONDS, 2) == taken  # as the guard tries again
