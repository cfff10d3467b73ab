"""A real cache that is killed, or hangs, and comes back, behind a guard."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.cache.client import new_redis
from pipeline.cache.errors import cache_errors
from pipeline.clock import SystemClock
from pipeline.errors import CacheUnavailable, CircuitOpen
from pipeline.resilience.breaker import State
from pipeline.resilience.guard import Guard
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings import RedisSettings
from pipeline.settings_serving import ResilienceSettings
from pipeline.stack import Endpoints, StackConfig
from pipeline.stack.config import PartName
from pipeline.stack.record import read
from pipeline.stack.stack import up
from pipeline.stack.temporary import reaped

# The real time of a circuit, made short: long enough for what is done within it on a busy machine.
OPEN_SECONDS = 1.0


@dataclass
class Cache:
    """A server of the test's own."""

    config: StackConfig
    url: str

    @property
    def pid(self) -> int:
        record = read(self.config.directory)
        assert record is not None
        process = record.parts["valkey"].process
        assert process is not None
        return process.pid

    def start(self) -> None:
        """On the port that it had."""
        assert up(self.config).redis_url == self.url


@pytest.fixture
def server(stack: Endpoints, tmp_path: Path) -> Iterator[Cache]:
    others: dict[PartName, str] = {"postgres": stack.database_url, "kafka": stack.kafka_bootstrap}
    config = StackConfig(tmp_path / "s", others, preferred_ports={})
    with reaped(config):
        yield Cache(config, up(config).redis_url)


@dataclass
class Asked:
    """Calls by a guard, each a PING; `sent` counts those that came as far as the client."""

    guard: Guard
    redis: Redis
    sent: int = 0

    async def ping(self) -> bool:
        self.sent += 1
        with cache_errors("asking whether it is there"):
            return bool(await self.redis.ping())

    async def until(self, state: State) -> None:
        """Call until the circuit stands so."""
        async with asyncio.timeout(30):
            while self.guard.breaker.state is not state:
                await asyncio.gather(self.guard.call(self.ping), return_exceptions=True)
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def asked(server: Cache) -> AsyncIterator[Asked]:
    settings = ResilienceSettings(breaker_open_seconds=OPEN_SECONDS, retry_backoff_seconds=0.001)
    redis = new_redis(server.url, RedisSettings(timeout_seconds=0.5))
    try:
        yield Asked(new_guard(Part.REDIS, settings, SystemClock(), ResilienceMetrics()), redis)
    finally:
        await redis.aclose()


async def test_a_cache_that_is_killed_is_left_alone_and_found_again(server: Cache, asked: Asked) -> None:
    assert await asked.guard.call(asked.ping)
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(CacheUnavailable):
        await asked.guard.call(asked.ping)
    await asked.until(State.OPEN)
    sent = asked.sent
    ends = await asyncio.gather(*(asked.guard.call(asked.ping) for _ in range(100)), return_exceptions=True)
    # One of them is the probe, should the machine have taken longer than the circuit is open.
    assert sum(isinstance(end, CircuitOpen) for end in ends) >= 99
    assert asked.sent <= sent + 1
    server.start()
    await asked.until(State.CLOSED)
    assert await asyncio.gather(*(asked.guard.call(asked.ping) for _ in range(100))) == [True] * 100


async def test_a_cache_that_hangs_costs_five_timeouts_and_not_one_a_call(server: Cache, asked: Asked) -> None:
    assert await asked.guard.call(asked.ping)
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asked.until(State.OPEN)
        assert asked.sent <= 1 + 5 + 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(asked.guard.call(asked.ping) for _ in range(1_000)), return_exceptions=True)
        assert loop.time() - began < 5, "a thousand calls waited for a part that hangs"
    finally:
        os.kill(pid, signal.SIGCONT)
    await asked.until(State.CLOSED)
    assert await asked.guard.call(asked.ping)
