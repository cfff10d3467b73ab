"""Version floors on a real Valkey: a reader may be behind the database for a moment, never behind a floor."""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import DataError
from redis.asyncio import Redis

from pipeline.cache.balances import FILL_SECONDS_MAX, BalanceCache, CachedBalance, Miss, _key
from pipeline.cache.client import new_redis
from pipeline.errors import CacheUnavailable
from pipeline.metrics import Metrics
from pipeline.settings import RedisSettings
from tests.support.clocks import HandClock

KEY, DAY, NEXT = (1, 1), date(2026, 3, 10), date(2026, 3, 11)
_epochs = itertools.count(1)


def value(version: int) -> CachedBalance:
    return CachedBalance(version, b"balance|of version %d" % version)


class Reading:
    """A cache with the hands of a reader: a clock, and an epoch of this test's own."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.clock = HandClock()
        self.metrics = Metrics()
        self.epoch = f"test-{os.getpid()}-{next(_epochs)}"
        self.cache = BalanceCache(redis, self.clock, self.metrics, value_ttl_seconds=120)

    async def miss(self, day: date = DAY) -> Miss:
        found = await self.cache.get(self.epoch, KEY, day)
        assert isinstance(found, Miss), f"version {found.version} is cached"
        return found

    async def fill(self, version: int, day: date = DAY) -> bool:
        """Miss and fill at once."""
        return await self.cache.fill(await self.miss(day), value(version))

    async def raise_floor(self, version: int, day: date = DAY) -> None:
        await self.cache.raise_floors(self.epoch, {KEY: {day: version}})

    async def version(self, day: date = DAY) -> int | None:
        found = await self.cache.get(self.epoch, KEY, day)
        if isinstance(found, Miss):
            return None
        assert found == value(found.version)
        return found.version

    async def lose(self) -> None:
        """The server forgets the entries: flushed, restarted, evicted, or at the end of their lives."""
        if lost := await keys_of(self):
            await self.redis.delete(*lost)


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
    miss = await reading.miss()
    await reading.raise_floor(5)
    assert not await reading.cache.fill(miss, value(4))
    assert await reading.version() is None
    assert await reading.cache.fill(miss, value(5))
    assert await reading.version() == 5


async def test_an_older_fill_never_replaces_a_newer_one(reading: Reading) -> None:
    quick, slow = await reading.miss(), await reading.miss()
    assert await reading.cache.fill(quick, value(6))
    assert not await reading.cache.fill(slow, value(5))
    assert await reading.version() == 6
    assert await reading.cache.fill(slow, value(7))
    assert await reading.version() == 7


@pytest.mark.parametrize("meanwhile", [(), ("miss",), ("repeat",), ("repeat", "fill")])
async def test_a_fill_that_was_on_its_way_when_the_keys_were_lost_is_refused(
    reading: Reading, meanwhile: tuple[str, ...]
) -> None:
    """The floor was 5, which nobody knows any more: what was read before, 4, must not come back."""
    miss = await reading.miss()
    await reading.raise_floor(5)
    await reading.lose()
    if "miss" in meanwhile:
        await reading.miss()
    if "repeat" in meanwhile:
        await reading.raise_floor(3)  # an invalidator that begins again, below what is on its way
    if "fill" in meanwhile:
        assert await reading.fill(5)
    assert not await reading.cache.fill(miss, value(4))
    assert not await reading.cache.fill(miss, value(6))  # new enough, but nothing tells it from an old one
    assert await reading.version() == (5 if "fill" in meanwhile else None)


async def test_a_day_that_nobody_asked_for_costs_the_cache_nothing(reading: Reading) -> None:
    """Nothing is cached of it and nobody may fill it: it needs no floor, however often it changes."""
    await reading.raise_floor(5)
    assert await keys_of(reading) == []
    assert await reading.fill(5)


async def test_readers_that_miss_together_share_the_lease_and_changes_keep_it(reading: Reading) -> None:
    misses = [await reading.miss()]
    await reading.raise_floor(1)
    misses.append(await reading.miss())
    await reading.fill(1)
    await reading.raise_floor(2)
    misses.append(await reading.miss())
    assert len({miss.lease for miss in misses}) == 1
    await reading.lose()
    assert (await reading.miss()).lease != misses[0].lease


async def test_a_miss_that_meets_a_fill_on_its_way_is_a_hit(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the value and the lease another reader fills: the lease script looks again."""
    await reading.fill(4)

    async def nothing_yet(_key: str) -> None: ...

    monkeypatch.setattr(reading.redis, "get", nothing_yet)
    assert await reading.version() == 4


async def test_a_hit_that_is_refused_becomes_a_miss_under_the_floor_that_was_told(reading: Reading) -> None:
    """An update came on another way than the invalidation, which is still to come."""
    await reading.fill(4)
    miss = await reading.cache.refuse(reading.epoch, KEY, DAY, 5)
    assert await reading.version() is None
    assert not await reading.cache.fill(miss, value(4))
    assert await reading.cache.fill(miss, value(5))
    assert await reading.version() == 5


async def test_refusing_lowers_no_floor_and_brings_no_lost_lease_back(reading: Reading) -> None:
    before = await reading.miss()
    await reading.raise_floor(7)
    miss = await reading.cache.refuse(reading.epoch, KEY, DAY, 5)
    assert miss.lease == before.lease
    assert not await reading.cache.fill(miss, value(6))
    await reading.lose()
    assert (await reading.cache.refuse(reading.epoch, KEY, DAY, 5)).lease != before.lease
    assert not await reading.cache.fill(before, value(8))


async def test_a_fill_may_live_shorter_than_others(reading: Reading) -> None:
    await reading.cache.fill(await reading.miss(), value(4), ttl_seconds=15)
    assert await life(reading) == pytest.approx(15, abs=5)


@pytest.mark.parametrize("unreadable", ["5", "", "x|y", "|y", "5|", "x|y|z"])
async def test_an_entry_that_cannot_be_read_is_made_anew(reading: Reading, unreadable: str) -> None:
    key = (await reading.miss()).key
    await reading.redis.set(key, unreadable)
    assert await reading.fill(4)
    await reading.redis.set(key, unreadable)
    await reading.raise_floor(5)
    assert await reading.fill(5)


async def test_a_floor_never_sinks(reading: Reading) -> None:
    await reading.miss()
    await reading.raise_floor(7)
    await reading.raise_floor(3)
    assert not await reading.fill(6)
    await reading.raise_floor(7)
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
    """Keys can come back from the past, and an old lease with them: an old fill stays out even so."""
    miss = await reading.miss()
    reading.clock.pass_seconds(FILL_SECONDS_MAX)
    assert await reading.cache.fill(miss, value(4))
    await reading.raise_floor(5)
    reading.clock.pass_seconds(0.1)
    assert not await reading.cache.fill(miss, value(5))
    assert await reading.version() is None


async def test_an_entry_lives_as_long_as_a_fill_may_take_and_a_balance_as_long_as_it_is_set(reading: Reading) -> None:
    miss = await reading.miss()
    assert await life(reading) == pytest.approx(FILL_SECONDS_MAX, abs=5)
    await reading.redis.expire(miss.key, 5)
    await reading.raise_floor(5)
    assert await life(reading) <= 5  # a day that changes all the time, and is asked for no more, is forgotten
    await reading.miss()
    assert await life(reading) == pytest.approx(FILL_SECONDS_MAX, abs=5)
    await reading.cache.fill(miss, value(6))
    assert await life(reading) == pytest.approx(120, abs=5)
    await reading.raise_floor(6)
    assert await life(reading) == pytest.approx(120, abs=5)


async def test_days_properties_and_epochs_are_kept_apart(reading: Reading, redis: Redis) -> None:
    other = Reading(redis)
    for key, day, version in ((KEY, DAY, 5), (KEY, NEXT, 2), ((1, 2), DAY, 3), ((2, 1), DAY, 4)):
        miss = await reading.cache.get(reading.epoch, key, day)
        assert isinstance(miss, Miss)
        assert await reading.cache.fill(miss, value(version))
    await other.fill(1)
    await reading.cache.raise_floors(reading.epoch, {KEY: {DAY: 6, NEXT: 2}, (1, 2): {DAY: 9}})
    places = ((KEY, DAY), (KEY, NEXT), ((1, 2), DAY), ((2, 1), DAY))
    found = [await reading.cache.get(reading.epoch, *place) for place in places]
    assert [None if isinstance(each, Miss) else each for each in found] == [None, value(2), None, value(4)]
    assert await other.version() == 1  # another epoch: version 6 there says nothing about version 1 here


async def test_days_that_nobody_has_asked_for_get_no_entry_and_hide_none_that_somebody_has(reading: Reading) -> None:
    asked = {DAY + timedelta(days=number) for number in range(0, 1_000, 97)}
    for day in asked:
        assert await reading.fill(1, day)
    keys = await keys_of(reading)
    every = {DAY + timedelta(days=number): 2 for number in range(1_000)}
    await reading.cache.raise_floors(reading.epoch, {KEY: every, (1, 2): every})
    assert sorted(await keys_of(reading)) == sorted(keys)
    assert [await reading.version(day) for day in sorted(asked)] == [None] * len(asked)
    assert [await reading.fill(1, day) for day in asked] == [False] * len(asked)


class Between:
    """A client that lets something happen between the look for entries and what raises their floors."""

    def __init__(self, redis: Redis, happens: Callable[[], Awaitable[None]]) -> None:
        self._redis = redis
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    async def mget(self, keys: Iterable[str]) -> Sequence[bytes | str | None]:
        found = await self._redis.mget(keys)
        await self._happens()
        return found


async def raise_while(reading: Reading, happens: Callable[[], Awaitable[None]]) -> None:
    """Raise the day's floor to 2, which is committed; something happens meanwhile."""
    between = cast("Redis", Between(reading.redis, happens))
    raising = BalanceCache(between, reading.clock, reading.metrics, value_ttl_seconds=120)
    await raising.raise_floors(reading.epoch, {KEY: {DAY: 2}})


async def test_who_asks_first_after_the_look_fills_what_is_committed(reading: Reading) -> None:
    async def happens() -> None:
        assert await reading.fill(2)

    await raise_while(reading, happens)
    assert await reading.version() == 2


async def test_who_asked_before_the_look_fills_nothing_older_that_stays(reading: Reading) -> None:
    miss = await reading.miss()

    async def happens() -> None:
        assert await reading.cache.fill(miss, value(1))

    await raise_while(reading, happens)
    assert await reading.version() is None
    assert not await reading.cache.fill(miss, value(1))


async def test_an_entry_lost_after_the_look_takes_the_older_fill_with_it(reading: Reading) -> None:
    miss = await reading.miss()

    async def happens() -> None:
        await reading.lose()
        assert not await reading.cache.fill(miss, value(1))
        assert await reading.fill(2)

    await raise_while(reading, happens)
    assert await reading.version() == 2


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "folio:{1:1}:e-1:2026-03-10"),
        ("CONFIG GET", "maxmemory"),
        ("EVAL", "return 1", 2, "one", "two words", 9_007_199_254_740_993, b"\r\n|\x00|\xff"),
        ("SET", "kéy", "", "EX", 120),
        (b"MGET", *(f"key {number}" for number in range(2_000))),
        (b"SCRIPT FLUSH", "SYNC"),
        ("SET", "key", b"x" * 100_000),
    ],
    ids=lambda command: str(command[0]),
)
async def test_commands_are_packed_as_the_client_itself_packs_them(command: tuple[Any, ...]) -> None:
    ours = new_redis("redis://127.0.0.1:1/0", RedisSettings())
    plain = Redis.from_url("redis://127.0.0.1:1/0")
    try:
        classes = [client.connection_pool.connection_class for client in (ours, plain)]
        packed = [b"".join(connection_class().pack_command(*command)) for connection_class in classes]
    finally:
        await ours.aclose()
        await plain.aclose()
    assert packed[0] == packed[1]


async def test_commands_are_packed_at_once_and_what_cannot_be_sent_is_refused_as_by_the_client() -> None:
    ours = new_redis("redis://127.0.0.1:1/0", RedisSettings())
    try:
        connection = ours.connection_pool.connection_class()
        assert len(connection.pack_command("MGET", *(f"key {number}" for number in range(2_000)))) == 1
        with pytest.raises(DataError):
            connection.pack_command("SET", "key", cast("str", None))
    finally:
        await ours.aclose()


async def test_a_key_names_the_organisation_and_a_property_stays_in_one_slot(reading: Reading) -> None:
    await reading.fill(1)
    assert await keys_of(reading) == [f"folio:{{1:1}}:{reading.epoch}:2026-03-10"]


async def test_hits_and_misses_are_counted(reading: Reading) -> None:
    await reading.fill(1)  # missed first
    await reading.version()
    await reading.version()
    counted = [
        reading.metrics.registry.get_sample_value("folio_cache_reads_total", {"result": result})
        for result in ("miss", "hit")
    ]
    assert counted == [1, 2]


async def test_a_server_that_is_away_is_a_cache_unavailable() -> None:
    nowhere = new_redis("redis://127.0.0.1:1/0", RedisSettings())
    reading = Reading(nowhere)
    try:
        fill = reading.cache.fill(Miss("entry", b"lease", reading.clock.monotonic()), value(1))
        for action in (fill, reading.raise_floor(1), reading.version()):
            with pytest.raises(CacheUnavailable):
                await action
    finally:
        await nowhere.aclose()


# A reader misses, reads the database's version, and fills later; the invalidator follows the commits, in order, some
# time after, and repeats itself; the server loses keys.
STEPS = ("commit", "miss", "read", "fill", "invalidate", "repeat", "lose")
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), min_size=1, max_size=50)


class World:
    """The database, its invalidator, and readers on their way; and what the cache may show of it all."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.committed = 1
        self.invalidated = 0  # whatever the server has lost since
        self.floor: int | None = None  # as the server knows it; None: it has no entry
        self.missed: dict[int, Miss] = {}
        self.read: dict[int, tuple[Miss, int]] = {}
        self.void: set[bytes] = set()  # leases of entries that were lost

    async def step(self, name: str, reader: int) -> None:
        if name == "commit":
            self.committed += 1
        elif name == "miss":
            await self._look(reader)
        elif name == "read" and reader in self.missed:
            self.read[reader] = (self.missed.pop(reader), self.committed)
        elif name == "fill" and reader in self.read:
            await self._fill(*self.read.pop(reader))
        elif name in ("invalidate", "repeat"):
            await self._invalidate(min(self.invalidated + (name == "invalidate"), self.committed))
        elif name == "lose":
            await self._lose()

    async def check(self) -> None:
        # Not a look of ours, that would make an entry.
        entry = await self.reading.redis.get(_key(self.reading.epoch, KEY, DAY))
        assert isinstance(entry, bytes | None)
        assert (entry is None) == (self.floor is None)
        floor, _, *balance = entry.split(b"|", 2) if entry else (b"0", b"")
        assert int(floor) == (self.floor or 0)
        assert not balance or self.invalidated <= int(floor) <= self.committed

    async def _look(self, reader: int) -> None:
        found = await self.reading.cache.get(self.reading.epoch, KEY, DAY)
        if isinstance(found, Miss):
            assert found.lease not in self.void
            self.missed[reader] = found
            self.floor = self.floor or 0

    async def _fill(self, miss: Miss, version: int) -> None:
        allowed = miss.lease not in self.void and self.floor is not None and version >= self.floor
        assert await self.reading.cache.fill(miss, value(version)) == allowed
        if allowed:
            self.floor = version

    async def _invalidate(self, version: int) -> None:
        if version:
            self.invalidated = version
            self.floor = max(self.floor, version) if self.floor is not None else None
            await self.reading.raise_floor(version)

    async def _lose(self) -> None:
        await self.reading.lose()
        self.floor = None
        on_their_way = [*self.missed.values(), *(miss for miss, _ in self.read.values())]
        self.void |= {miss.lease for miss in on_their_way}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_no_interleaving_and_no_loss_shows_a_version_below_what_was_invalidated(
    redis: Redis, steps: list[tuple[str, int]]
) -> None:
    world = World(Reading(redis))
    for name, reader in steps:
        await world.step(name, reader)
        await world.check()


async def test_readers_and_invalidators_at_once_leave_the_newest_or_nothing(redis: Redis) -> None:
    reading = Reading(redis)
    for _ in range(10):
        versions = list(range(1, 21))
        misses = [await reading.miss() for _ in versions]
        await asyncio.gather(
            *(reading.cache.fill(miss, value(version)) for miss, version in zip(misses, versions, strict=True)),
            *(reading.raise_floor(version) for version in versions),
        )
        assert await reading.version() in (20, None)
        assert not await reading.cache.fill(misses[0], value(19))
        assert await reading.cache.fill(misses[0], value(20))
        reading.epoch += "+"


async def life(reading: Reading) -> int:
    """The seconds that the one entry has to live."""
    (key,) = await keys_of(reading)
    return int(await reading.redis.ttl(key))


async def keys_of(reading: Reading) -> list[str]:
    return sorted([key.decode() async for key in reading.redis.scan_iter(f"*{reading.epoch}*")])
