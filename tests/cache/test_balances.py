"""Version floors on a real Valkey: a reader may be behind the database for a moment, never behind a floor."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from datetime import date

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from pipeline.app import new_redis
from pipeline.cache.balances import FILL_SECONDS_MAX, BalanceCache, CachedBalance
from pipeline.errors import CacheUnavailable
from pipeline.metrics import Metrics
from pipeline.settings import RedisSettings
from pipeline.stack import Endpoints
from tests.support.clocks import HandClock

KEY, DAY, NEXT = (1, 1), date(2026, 3, 10), date(2026, 3, 11)
# A database of the server that no worker uses, so that emptying it disturbs nobody.
OUR_DATABASE = 9
_epochs = itertools.count(1)


def value(version: int) -> CachedBalance:
    return CachedBalance(version, b"balance|of version %d" % version)


class Reading:
    """A cache with the hands of a reader: a clock, and an epoch of this test's own."""

    def __init__(self, redis: Redis, floor_ttl_seconds: int = 600) -> None:
        self.redis = redis
        self.clock = HandClock()
        self.metrics = Metrics()
        self.epoch = f"test-{os.getpid()}-{next(_epochs)}"
        self.cache = BalanceCache(
            redis, self.clock, self.metrics, value_ttl_seconds=120, floor_ttl_seconds=floor_ttl_seconds
        )

    async def fill(self, version: int, day: date = DAY, read_seconds_ago: float = 0) -> bool:
        read_at = self.clock.monotonic() - read_seconds_ago
        return await self.cache.fill(self.epoch, KEY, day, value(version), read_at=read_at)

    async def raise_floor(self, version: int, day: date = DAY) -> None:
        await self.cache.raise_floors(self.epoch, {KEY: {day: version}})

    async def version(self, day: date = DAY) -> int | None:
        found = await self.cache.get(self.epoch, KEY, day)
        assert found is None or found == value(found.version)
        return found.version if found is not None else None


@pytest_asyncio.fixture
async def redis(stack: Endpoints) -> AsyncIterator[Redis]:
    client = Redis.from_url(stack.redis_url, db=OUR_DATABASE)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
def reading(redis: Redis) -> Reading:
    return Reading(redis)


async def test_what_was_filled_is_read_back(reading: Reading) -> None:
    assert await reading.version() is None
    assert await reading.fill(4)
    assert await reading.version() == 4
    assert await reading.version(NEXT) is None


async def test_a_raised_floor_drops_an_older_value(reading: Reading) -> None:
    await reading.fill(4)
    await reading.raise_floor(5)
    assert await reading.version() is None


async def test_a_raised_floor_keeps_a_value_that_is_not_older(reading: Reading) -> None:
    await reading.fill(5)
    await reading.raise_floor(5)
    assert await reading.version() == 5


async def test_a_reader_that_read_before_the_invalidation_fills_nothing_after_it(reading: Reading) -> None:
    await reading.raise_floor(5)
    assert not await reading.fill(4)
    assert await reading.version() is None
    assert await reading.fill(5)
    assert await reading.version() == 5


async def test_an_older_fill_never_replaces_a_newer_one(reading: Reading) -> None:
    await reading.fill(6)
    assert not await reading.fill(5)
    assert await reading.version() == 6


async def test_a_floor_never_sinks(reading: Reading) -> None:
    await reading.raise_floor(7)
    await reading.raise_floor(3)
    assert not await reading.fill(6)
    assert await reading.fill(7)


async def test_versions_are_compared_as_numbers_not_as_text(reading: Reading) -> None:
    await reading.fill(9)
    await reading.raise_floor(10)
    assert await reading.version() is None
    assert not await reading.fill(9)
    assert await reading.fill(10)
    large = 2**53 - 1
    await reading.raise_floor(large)
    assert not await reading.fill(large - 1)
    assert await reading.fill(large)
    assert await reading.version() == large


async def test_a_fill_that_took_too_long_is_refused_whatever_the_floor(reading: Reading) -> None:
    """A floor may have come and gone since the read: nothing tells any more."""
    assert not await reading.fill(4, read_seconds_ago=FILL_SECONDS_MAX + 0.1)
    assert await reading.version() is None
    assert await reading.fill(4, read_seconds_ago=FILL_SECONDS_MAX)


async def test_a_floor_outlives_every_fill_that_can_be_on_its_way(reading: Reading) -> None:
    await reading.raise_floor(5)
    await reading.fill(6)
    lives = {key: await reading.redis.ttl(key) for key in await keys_of(reading)}
    assert {key.rpartition(":")[2]: FILL_SECONDS_MAX < life <= 600 for key, life in lives.items()} == {
        "floor": True,
        "value": True,
    }
    with pytest.raises(AssertionError):
        Reading(reading.redis, floor_ttl_seconds=int(FILL_SECONDS_MAX))


async def test_a_raise_that_changes_nothing_lets_the_floor_live_on(reading: Reading) -> None:
    await reading.raise_floor(5)
    (floor,) = await keys_of(reading)
    await reading.redis.expire(floor, 2)
    await reading.raise_floor(5)
    assert await reading.redis.ttl(floor) > FILL_SECONDS_MAX


async def test_days_properties_and_epochs_are_kept_apart(reading: Reading, redis: Redis) -> None:
    other = Reading(redis)
    for key, day, version in ((KEY, DAY, 5), (KEY, NEXT, 2), ((1, 2), DAY, 3), ((2, 1), DAY, 4)):
        await reading.cache.fill(reading.epoch, key, day, value(version), read_at=reading.clock.monotonic())
    await other.fill(1)
    await reading.cache.raise_floors(reading.epoch, {KEY: {DAY: 6, NEXT: 2}, (1, 2): {DAY: 9}})
    places = ((KEY, DAY), (KEY, NEXT), ((1, 2), DAY), ((2, 1), DAY))
    assert [await reading.cache.get(reading.epoch, *place) for place in places] == [None, value(2), None, value(4)]
    assert await other.version() == 1  # another epoch: version 6 there says nothing about version 1 here


async def test_keys_name_the_organisation_and_a_property_stays_in_one_slot(reading: Reading) -> None:
    await reading.fill(1)
    assert {key.split(":{")[0] + key[key.index("}") :] for key in await keys_of(reading)} == {
        f"folio}}:{reading.epoch}:2026-03-10:floor",
        f"folio}}:{reading.epoch}:2026-03-10:value",
    }
    assert all("{1:1}" in key for key in await keys_of(reading))


async def test_hits_and_misses_are_counted(reading: Reading) -> None:
    await reading.version()
    await reading.fill(1)
    await reading.version()
    await reading.version()
    counted = [
        reading.metrics.registry.get_sample_value("folio_cache_reads_total", {"result": result})
        for result in ("miss", "hit")
    ]
    assert counted == [1, 2]


async def test_an_emptied_server_serves_nothing_old_once_the_next_change_is_invalidated(reading: Reading) -> None:
    await reading.raise_floor(5)
    await reading.fill(5)
    await reading.redis.flushdb()
    assert await reading.version() is None
    assert await reading.fill(4)  # the floor is gone with everything else: the fill's own bounds are what is left
    await reading.raise_floor(6)
    assert await reading.version() is None
    assert not await reading.fill(5)


async def test_a_server_that_is_away_is_a_cache_unavailable() -> None:
    nowhere = new_redis("redis://127.0.0.1:1/0", RedisSettings())
    reading = Reading(nowhere)
    try:
        for action in (reading.fill(1), reading.raise_floor(1), reading.version()):
            with pytest.raises(CacheUnavailable):
                await action
    finally:
        await nowhere.aclose()


# A reader reads the database's version and fills later; the invalidator follows the commits, in order, some time after.
steps = st.lists(
    st.tuples(st.sampled_from(["commit", "read", "fill", "invalidate"]), st.integers(0, 3)), min_size=1, max_size=40
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_no_interleaving_shows_a_version_below_its_floor(redis: Redis, steps: list[tuple[str, int]]) -> None:
    reading = Reading(redis)
    committed, floor = 1, 0
    uninvalidated: list[int] = []
    read: dict[int, int] = {}
    for step, reader in steps:
        if step == "commit":
            committed += 1
            uninvalidated.append(committed)
        elif step == "read":
            read[reader] = committed
        elif step == "fill" and reader in read:
            version = read.pop(reader)
            assert await reading.fill(version) == (version >= floor)
            floor = max(floor, version)
        elif step == "invalidate" and uninvalidated:
            floor = max(floor, uninvalidated.pop(0))
            await reading.raise_floor(floor)
        shown = await reading.version()
        assert shown is None or floor <= shown <= committed


async def test_readers_and_invalidators_at_once_leave_the_newest_or_nothing(redis: Redis) -> None:
    reading = Reading(redis)
    for _ in range(10):
        versions = list(range(1, 21))
        await asyncio.gather(
            *(reading.fill(version) for version in versions), *(reading.raise_floor(version) for version in versions)
        )
        assert await reading.version() in (20, None)
        assert not await reading.fill(19)
        assert await reading.fill(20)
        reading.epoch += "+"


async def keys_of(reading: Reading) -> list[str]:
    return sorted([key.decode() async for key in reading.redis.scan_iter(f"*{reading.epoch}*")])
