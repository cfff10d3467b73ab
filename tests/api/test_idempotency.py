"""Keys of callers, apart from the routes that use them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from pipeline.api.idempotency import Answer, Idempotency, Work
from pipeline.api.metrics import ApiMetrics
from pipeline.api.tokens import Principal, Role
from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings import RedisSettings
from pipeline.settings_serving import ResilienceSettings
from pipeline.stack import Endpoints


def holder(subject: str) -> Principal:
    return Principal(subject, frozenset({1}), frozenset({Role.WRITER}), expires_at=2e9)


@dataclass
class House:
    keys: Idempotency
    guarded: ResilienceMetrics

    def calls(self) -> float:
        labels = {"part": "redis", "evidence": "answered"}
        return self.guarded.registry.get_sample_value("folio_guarded_calls_total", labels) or 0.0


@pytest_asyncio.fixture
async def house(stack: Endpoints) -> AsyncIterator[House]:
    redis, clock, guarded = new_redis(stack.redis_url, RedisSettings()), SystemClock(), ResilienceMetrics()
    guard = new_guard(Part.REDIS, ResilienceSettings(), clock, guarded)
    yield House(Idempotency(redis, guard, clock, ApiMetrics()), guarded)
    await redis.aclose()


def answering(text: bytes, seconds: float = 0) -> Work:
    async def work() -> Answer:
        await asyncio.sleep(seconds)
        return Answer(202, text)

    return work


@pytest.mark.parametrize("between", ["|", ":", "\0", " "])
async def test_nobody_meets_the_key_of_another(house: House, between: str) -> None:
    mine, key = secrets.token_hex(4), secrets.token_hex(4)
    first = await house.keys.once(holder(f"{mine}{between}x"), key, b"body", answering(b"first"))
    other = await house.keys.once(holder(mine), f"x{between}{key}", b"body", answering(b"other"))
    assert (first.answer.body, other.answer.body, other.replayed) == (b"first", b"other", False)


async def test_a_twin_that_waits_looks_now_and_then(house: House) -> None:
    subject, key = secrets.token_hex(4), secrets.token_hex(4)
    first = asyncio.create_task(house.keys.once(holder(subject), key, b"body", answering(b"first", seconds=2)))
    await asyncio.sleep(0.05)
    twin = await house.keys.once(holder(subject), key, b"body", answering(b"twin"))
    assert (twin.answer.body, twin.replayed) == (b"first", True)
    await first
    assert house.calls() < 15
