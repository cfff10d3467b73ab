"""A day comes from the nearest tier that may answer, and from none below what was heard before it was asked for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.cache.client import new_redis
from pipeline.cache.payload import SCHEMA
from pipeline.errors import DatabaseUnavailable, Transient
from pipeline.settings import RedisSettings
from tests.cache.house import House, balance
from tests.support.events import TODAY

YESTERDAY = TODAY - timedelta(days=1)


@pytest_asyncio.fixture
async def house(redis: Redis) -> AsyncIterator[House]:
    async with House(redis).opened() as opened:
        yield opened


async def test_each_tier_answers_what_the_one_above_it_lacks(house: House, redis: Redis) -> None:
    house.commit(4)
    assert [await house.version() for _ in range(3)] == [4, 4, 4]
    assert house.answers() == {"l1": 2, "redis": 0, "database": 2}  # the other one learned the epoch
    async with House(redis, epoch=house.book.epoch).opened() as neighbour:
        assert [await neighbour.version() for _ in range(2)] == [4, 4]
        assert neighbour.answers() == {"l1": 1, "redis": 1, "database": 1}
        assert neighbour.metrics.hit_rate() == pytest.approx(2 / 3)
    assert house.counted("misses", tier="l1") == 2
    assert house.counted("misses", tier="redis") == 1


async def test_a_day_without_a_row_is_kept_too(house: House, redis: Redis) -> None:
    assert [await house.tiers.of_day(1, 1, TODAY) for _ in range(2)] == [None, None]
    assert house.book.reads == 2
    async with House(redis, epoch=house.book.epoch).opened() as neighbour:
        assert await neighbour.version() == 0
        assert neighbour.answers()["redis"] == 1
    house.commit(1)
    house.hear(1)
    assert await house.version() == 1


async def test_a_hundred_readers_of_a_cold_day_make_one_read(house: House) -> None:
    house.commit(4)
    house.book.hold = True
    readers = [asyncio.create_task(house.version()) for _ in range(100)]
    await house.reads_are_held(1)
    house.book.waiting[0].set()
    assert await asyncio.gather(*readers) == [4] * 100
    assert house.book.reads == 2
    assert house.counted("flight_waits") == 99


async def test_a_leader_that_is_cancelled_takes_nobody_down(house: House) -> None:
    house.commit(4)
    house.book.hold = True
    leader, *others = [asyncio.create_task(house.version()) for _ in range(10)]
    await house.reads_are_held(1)
    leader.cancel()
    await asyncio.wait([leader])
    assert leader.cancelled()
    house.book.waiting[0].set()
    assert await asyncio.gather(*others) == [4] * 9
    assert house.book.reads == 2


async def test_a_fetch_that_nobody_waits_for_any_more_ends_and_the_next_begins_anew(house: House) -> None:
    house.commit(4)
    house.book.hold = True
    readers = [asyncio.create_task(house.version()) for _ in range(3)]
    await house.reads_are_held(1)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    house.book.hold = False
    assert await house.version() == 4
    await house.reads_are_held(0)
    assert house.book.reads == 3


async def test_an_error_reaches_everybody_and_is_kept_by_nobody(house: House) -> None:
    house.commit(4)
    house.book.hold, house.book.error = True, DatabaseUnavailable("away")
    readers = [asyncio.create_task(house.version()) for _ in range(5)]
    await house.reads_are_held(1)
    house.book.waiting[0].set()
    outcomes = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 5
    house.book.hold, house.book.error = False, None
    assert await house.version() == 4


async def test_whoever_waits_when_all_is_closed_is_told_so(house: House) -> None:
    house.book.hold = True
    reader = asyncio.create_task(house.version())
    await house.reads_are_held(1)
    await house.tiers.aclose()
    with pytest.raises(Transient, match="closed"):
        await reader
    with pytest.raises(Transient, match="closed"):
        await house.version()


async def test_an_update_takes_the_place_of_an_older_day_and_leaves_a_newer_one(house: House) -> None:
    house.commit(4)
    await house.version()
    house.hear(4)
    assert house.counted("l1_invalidations") == 0
    house.hear(5)
    assert await house.version() == 5
    assert house.counted("l1_invalidations") == 1
    assert (house.book.reads, house.answers()["l1"]) == (2, 1), "nobody was asked"
    house.clock.pass_seconds(14)
    house.hear(6)
    house.clock.pass_seconds(14)
    assert await house.version() == 6, "its life begins with the update"
    house.clock.pass_seconds(2)
    house.commit(6)
    assert await house.version() == 6
    assert house.book.reads == 3


async def test_the_first_update_of_a_day_takes_the_place_of_its_absence(house: House) -> None:
    assert await house.version() == 0
    house.hear(1)
    assert await house.version() == 1
    assert house.book.reads == 2


async def test_redis_is_not_believed_below_what_was_heard_and_learns_it(house: House, redis: Redis) -> None:
    """The update has come; the invalidation, on its own way, has not."""
    async with House(redis, epoch=house.book.epoch).opened() as filler:
        filler.commit(4)
        await filler.version()
    house.commit(5)
    house.hear(5)
    assert await house.version() == 5
    assert house.counted("refusals", reason="below_floor") == 1
    async with House(redis, epoch=house.book.epoch).opened() as neighbour:
        neighbour.commit(99)
        assert await neighbour.version() == 5, "filled by the other"


async def test_a_fetch_that_was_overtaken_is_not_kept_and_not_joined(house: House, redis: Redis) -> None:
    house.commit(4)
    house.book.hold = True
    early = asyncio.create_task(house.version())
    await house.reads_are_held(1)
    house.commit(5)
    house.hear(5)
    late = asyncio.create_task(house.version())
    await house.reads_are_held(2)
    house.book.waiting[1].set()
    assert await late == 5
    house.book.waiting[0].set()
    assert await early == 4  # it asked before anybody had heard of 5
    assert await house.version() == 5
    assert house.answers()["l1"] == 1


async def test_a_fetch_that_comes_below_what_was_heard_is_not_kept(house: House) -> None:
    house.commit(4)
    house.book.hold = True
    early = asyncio.create_task(house.version())
    await house.reads_are_held(1)
    house.commit(5)
    house.hear(5)
    house.book.waiting[0].set()
    assert await early == 4
    house.book.hold = False
    assert await house.version() == 5


async def test_a_slow_fetch_replaces_nothing_newer(house: House) -> None:
    """Both are as new as what was heard, 5; what was answered once is not taken back."""
    house.commit(5)
    house.book.hold = True
    early = asyncio.create_task(house.version())
    await house.reads_are_held(1)
    house.hear(5)
    house.commit(6)
    late = asyncio.create_task(house.version())
    await house.reads_are_held(2)
    house.book.waiting[1].set()
    assert await late == 6
    house.book.waiting[0].set()
    assert await early == 5
    assert await house.version() == 6


async def test_a_floor_that_was_forgotten_keeps_redis_from_being_believed(redis: Redis) -> None:
    async with House(redis, floors_max=1).opened() as house:
        async with House(redis, epoch=house.book.epoch).opened() as filler:
            filler.commit(4)
            await filler.version()
        house.commit(5)
        house.hear(5)
        house.hear(1, YESTERDAY)  # the bound: the floor of today goes
        assert await house.version() == 5
        assert house.counted("refusals", reason="floor_forgotten") == 1
        house.clock.pass_seconds(151)  # whatever was filled before is gone
        await house.version()
        assert house.counted("refusals", reason="floor_forgotten") == 1


async def test_a_floor_forgotten_while_a_fetch_is_on_its_way_keeps_it_out(redis: Redis) -> None:
    async with House(redis, floors_max=1).opened() as house:
        house.commit(4)
        house.book.hold = True
        early = asyncio.create_task(house.version())
        await house.reads_are_held(1)
        house.commit(5)
        house.hear(5)
        house.hear(1, YESTERDAY)
        house.book.waiting[0].set()
        assert await early == 4
        house.book.hold = False
        assert await house.version() == 5


async def test_l1_is_bounded_and_says_what_it_drops(redis: Redis) -> None:
    async with House(redis, l1_entries_max=10).opened() as house:
        for back in range(20):
            await house.version(TODAY - timedelta(days=back))
        assert house.metrics.registry.get_sample_value("folio_cache_l1_entries") == 10
        assert house.counted("l1_evictions") == 11  # with the day by which the epoch was learned
        reads = house.book.reads
        await house.version(TODAY - timedelta(days=19))
        assert house.book.reads == reads


@pytest.mark.parametrize(("day", "seconds"), [(TODAY, 15), (TODAY + timedelta(days=1), 15), (YESTERDAY, 120)])
async def test_a_day_lives_as_long_as_its_kind(house: House, redis: Redis, day: date, seconds: int) -> None:
    await house.version(day)
    key = f"folio:{{1:1}}:{house.book.epoch}:{day}"
    assert await redis.ttl(key) == pytest.approx(seconds, abs=3)
    house.clock.pass_seconds(seconds - 0.1)
    await house.version(day)
    assert house.answers()["l1"] == 1
    house.clock.pass_seconds(0.2)
    await house.version(day)
    assert house.answers()["l1"] == 1


async def test_l1_does_not_prolong_what_redis_had(house: House, redis: Redis) -> None:
    await house.version(YESTERDAY)
    async with House(redis, epoch=house.book.epoch).opened() as neighbour:
        neighbour.clock.pass_seconds(100)
        await neighbour.version(YESTERDAY)
        neighbour.clock.pass_seconds(19)
        await neighbour.version(YESTERDAY)
        assert neighbour.answers()["l1"] == 1
        neighbour.clock.pass_seconds(2)
        await neighbour.version(YESTERDAY)
        assert neighbour.answers()["l1"] == 1


async def test_what_another_release_filled_is_a_miss(house: House, redis: Redis) -> None:
    house.commit(4)
    await house.version()
    (key,) = [key async for key in redis.scan_iter(f"*1:1*{house.book.epoch}*")]

    async def parts() -> list[bytes]:
        entry = await redis.get(key)
        assert isinstance(entry, bytes)
        return entry.split(b"|", 2)

    for payload in (b"%d:whatever" % (SCHEMA + 1), b"%d:damaged" % SCHEMA, b"", b"9|9|9"):
        floor, lease, _ = await parts()
        await redis.set(key, b"|".join((floor, lease, payload)), ex=60)
        async with House(redis, epoch=house.book.epoch).opened() as neighbour:
            neighbour.commit(4)
            assert await neighbour.version() == 4
            assert neighbour.counted("refusals", reason="unreadable") == 1
            assert neighbour.answers()["database"] == 2
    assert (await parts())[2].startswith(b"%d:" % SCHEMA)


async def test_organisations_and_properties_are_kept_apart(house: House) -> None:
    places = ((1, 1), (1, 2), (2, 1))
    for number, place in enumerate(places, 1):
        house.book.versions[(*place, TODAY)] = number
    for _ in range(2):
        found = [await house.tiers.of_day(*place, TODAY) for place in places]
        assert [each and each.version for each in found] == [1, 2, 3]


# --- the feed ---


async def test_without_the_feed_l1_is_passed_by(house: House) -> None:
    house.commit(4)
    await house.version()
    house.tiers.feed_lost()
    house.commit(5)
    await house.invalidate(5)  # what Redis is told does not hang on the feed
    assert [await house.version() for _ in range(2)] == [5, 5]
    assert house.answers() == {"l1": 0, "redis": 1, "database": 3}
    assert house.counted("bypasses", reason="feed_lost") == 2
    house.tiers.feed_back()
    await house.version()
    await house.version()
    assert house.answers()["l1"] == 1


async def test_before_the_feed_is_there_nothing_is_kept(redis: Redis) -> None:
    house = House(redis)
    await house.version()
    await house.version()
    assert house.answers()["l1"] == 0
    await house.tiers.aclose()


async def test_a_fetch_that_began_without_the_feed_is_not_kept(house: House) -> None:
    house.tiers.feed_lost()
    house.commit(4)
    house.book.hold = True
    early = asyncio.create_task(house.version())
    await house.reads_are_held(1)
    house.tiers.feed_back()  # whatever was published before is not heard
    house.book.waiting[0].set()
    await early
    house.book.hold = False
    await house.version()
    assert house.answers()["l1"] == 0


# --- what a day without a row stands on ---


async def test_a_day_without_a_row_and_what_it_stands_on_are_one_read(house: House) -> None:
    house.book.before = balance(7, YESTERDAY)
    found = [await house.tiers.newest(1, 1, TODAY) for _ in range(3)]
    assert found == [balance(7, YESTERDAY)] * 3
    assert house.book.reads == 2
    assert house.answers() == {"l1": 2, "redis": 0, "database": 2}
    house.hear(8, YESTERDAY)
    house.book.before = balance(8, YESTERDAY)
    assert await house.tiers.newest(1, 1, TODAY) == balance(8, YESTERDAY)
    assert house.answers() == {"l1": 2, "redis": 0, "database": 3}, "the reader had to wait: no hit"
    house.commit(1)
    house.hear(1)
    assert await house.tiers.newest(1, 1, TODAY) == balance(1)
    assert house.book.reads == 3


async def test_of_a_property_without_any_row_there_is_nothing(house: House) -> None:
    assert [await house.tiers.newest(1, 1, TODAY) for _ in range(2)] == [None, None]
    assert house.book.reads == 2


# --- another epoch ---


async def test_another_epoch_empties_l1_and_its_versions_count_from_then_on(house: House) -> None:
    house.commit(7)
    await house.version()
    system = house.book.epoch.partition("-")[0]
    house.book.epoch = f"{system}-2"
    house.commit(5)
    house.hear(5)
    assert await house.version() == 5  # the promoted server lacks what was lost
    house.hear(8, epoch=f"{system}-1")  # what is left of the old history
    assert await house.version() == 5
    assert house.answers()["l1"] == 1


async def test_an_epoch_of_another_system_is_asked_for(house: House) -> None:
    house.commit(7)
    await house.version()
    house.book.epoch = "another" + house.book.epoch
    house.commit(5)
    house.hear(5)
    assert await house.version() == 5
    assert house.counted("bypasses", reason="epoch_unknown") == 2


async def test_a_new_epoch_is_learned_from_the_primary_and_a_past_one_teaches_nothing(house: House) -> None:
    house.commit(7)
    before = house.book.epoch
    await house.version()
    house.book.epoch = before.replace("-1", "-2")
    house.commit(5)
    await house.version(YESTERDAY)
    assert await house.version() == 5
    await house.lose()
    house.clock.pass_seconds(16)
    house.book.epoch = before
    house.commit(7)
    assert [await house.version() for _ in range(2)] == [7, 7]
    assert house.counted("bypasses", reason="epoch_past") == 2


# --- Redis away ---


async def test_without_redis_reads_pass_to_the_database_and_it_is_counted() -> None:
    nowhere = new_redis("redis://127.0.0.1:1/0", RedisSettings())
    house = House(nowhere)
    try:
        async with house.opened():
            house.commit(4)
            assert [await house.version() for _ in range(2)] == [4, 4]
            house.commit(5)
            house.hear(5)
            assert await house.version() == 5
            house.tiers.feed_lost()
            assert await house.version() == 5
        assert house.counted("bypasses", reason="redis_away") == 2
        assert house.answers() == {"l1": 2, "redis": 0, "database": 3}
    finally:
        await nowhere.aclose()


async def test_every_call_passes_its_guard(house: House) -> None:
    for_redis, for_database = house.guards
    before = for_redis.calls
    await house.version()
    assert for_redis.calls - before == 2  # the look, the fill
    assert for_database.calls == house.book.reads == 2
