"""The cache in memory against Valkey: the same calls of `BalanceCache` give the same answers, in whatever order."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta
from random import Random
from typing import Any, Final

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.cache import balances
from pipeline.cache.balances import BalanceCache, CachedBalance, Miss
from pipeline.cache.client import new_redis
from pipeline.metrics import Metrics
from pipeline.settings import RedisSettings
from pipeline.stack import Endpoints
from tests.simulation.cache import Cache, SimulatedRedis
from tests.simulation.process import Process, Weather
from tests.support.clocks import HandClock

HISTORIES: Final = 30
STEPS: Final = 60
DAYS: Final = [date(2026, 3, 10) + timedelta(days=days) for days in range(3)]
OUR_DATABASE: Final = 10  # of the server: no other test uses it
_epochs = itertools.count(1)


@pytest_asyncio.fixture
async def redis(stack: Endpoints) -> AsyncIterator[Redis]:
    client = new_redis(f"{stack.redis_url.rpartition('/')[0]}/{OUR_DATABASE}", RedisSettings())
    yield client
    await client.flushdb()
    await client.aclose()


class Reader:
    """One of the two caches, with what its readers have not filled yet."""

    def __init__(self, redis: Any, epoch: str, forget: Callable[[], Awaitable[object]]) -> None:
        self._cache = BalanceCache(redis, HandClock(), Metrics(), value_ttl_seconds=120)
        self._epoch = epoch
        self._forget = forget
        self._misses: list[Miss] = []

    async def ask(self, day: date, _version: int) -> object:
        found = await self._cache.get(self._epoch, (1, 1), day)
        if isinstance(found, CachedBalance):
            return found
        self._misses.append(found)
        return "a miss"

    async def fill_the_oldest_miss(self, _day: date, version: int) -> object:
        if not self._misses:
            return None
        return await self._cache.fill(self._misses.pop(0), CachedBalance(version, b"version %d" % version))

    async def raise_floors(self, day: date, version: int) -> None:
        floors = {(1, 1): {each: version for each in DAYS if each <= day}}
        await self._cache.raise_floors(self._epoch, floors)

    async def lose_everything(self, _day: date, _version: int) -> None:
        await self._forget()


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_both_answer_alike(seed: int, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = Random(seed)
    monkeypatch.setattr(balances, "_nonce", lambda: f"{nonces.getrandbits(64):016x}")
    epoch = f"contract-{os.getpid()}-{next(_epochs)}"
    memory = Cache(asyncio.get_running_loop())
    process = Process("test", Weather(Random(0)), _silent)

    async def forget() -> None:
        memory.flush()

    real = Reader(redis, epoch, redis.flushdb)
    simulated = Reader(SimulatedRedis(memory, process), epoch, forget)
    chance = Random(seed)
    steps = ["ask", "ask", "ask", "fill_the_oldest_miss", "fill_the_oldest_miss", "raise_floors"]
    for _ in range(STEPS):
        step = "lose_everything" if chance.random() < 0.03 else chance.choice(steps)
        day, version = chance.choice(DAYS), chance.randint(1, 6)
        answers = [await getattr(each, step)(day, version) for each in (real, simulated)]
        assert answers[0] == answers[1], (step, day, version)


def _silent(_what: str) -> None:
    return
