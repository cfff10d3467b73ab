"""A day that is looked at near its end is read anew meanwhile: nobody waits, and nobody loses anything by it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.errors import DatabaseUnavailable
from tests.cache.house import House, balance
from tests.support.events import TODAY

YESTERDAY = TODAY - timedelta(days=1)


async def settled(house: House) -> None:
    """Until nothing is read any more."""
    while house.tiers._flights._tasks:
        await asyncio.sleep(0.0005)


@pytest_asyncio.fixture
async def refreshing(redis: Redis) -> AsyncIterator[House]:
    async with House(redis, refresh_ahead=0.4).opened() as opened:
        yield opened


async def one_is_held(refreshing: House) -> None:
    """Version 4 of today is read anew, and on its way."""
    refreshing.commit(4)
    await refreshing.version()
    refreshing.clock.pass_seconds(10)
    refreshing.book.hold = True
    await refreshing.version()
    await refreshing.reads_are_held(1)


@pytest.mark.parametrize(("day", "whole"), [(TODAY, 15), (YESTERDAY, 120)])
async def test_who_looks_at_the_end_of_a_life_has_it_prolonged_and_waits_for_nothing(
    refreshing: House, redis: Redis, day: date, whole: int
) -> None:
    refreshing.commit(4, day)
    await refreshing.version(day)
    refreshing.clock.pass_seconds(whole * 0.59)
    assert await refreshing.version(day) == 4
    await settled(refreshing)
    assert refreshing.book.reads == 2, "there is time"
    refreshing.clock.pass_seconds(whole * 0.02)
    refreshing.commit(5, day)
    refreshing.book.hold = True
    assert [await refreshing.version(day) for _ in range(3)] == [4, 4, 4], "nobody waits"
    await refreshing.reads_are_held(1)
    refreshing.book.waiting[0].set()
    await settled(refreshing)
    refreshing.book.hold = False
    refreshing.clock.pass_seconds(whole * 0.59)
    assert await refreshing.version(day) == 5, "alive after its first end"
    assert refreshing.book.reads == 3
    assert refreshing.counted("refreshes", tier="database") == 1
    assert refreshing.counted("refusals", reason="ageing") == 1
    assert refreshing.answers() == {"l1": 5, "redis": 0, "database": 2}, "of a refresh nobody was answered"


async def test_what_another_process_has_read_anew_is_taken_from_redis(refreshing: House, redis: Redis) -> None:
    async with House(redis, epoch=refreshing.book.epoch, refresh_ahead=0.4).opened() as neighbour:
        refreshing.commit(4)
        assert await refreshing.version() == await neighbour.version() == 4
        for house in (refreshing, neighbour):
            house.clock.pass_seconds(10)
        for house in (refreshing, neighbour):
            await house.version()
            await settled(house)
        assert refreshing.counted("refreshes", tier="database") == 1
        assert neighbour.counted("refreshes", tier="redis") == 1
        assert neighbour.book.reads == 1, "that by which the epoch was learned"


async def test_what_cannot_be_read_anew_lives_on_and_is_not_tried_twice(refreshing: House) -> None:
    refreshing.commit(4)
    await refreshing.version()
    refreshing.clock.pass_seconds(10)
    refreshing.book.error = DatabaseUnavailable("away")
    for _ in range(5):
        assert await refreshing.version() == 4
        await settled(refreshing)
    assert refreshing.book.reads == 3
    refreshing.clock.pass_seconds(6)
    await refreshing.lose()  # Redis goes by time of its own
    with pytest.raises(DatabaseUnavailable):
        await refreshing.version()


async def test_a_refresh_that_fails_leaves_the_others_what_they_have(refreshing: House, redis: Redis) -> None:
    refreshing.commit(4)
    await refreshing.version()
    refreshing.clock.pass_seconds(10)
    refreshing.book.error = DatabaseUnavailable("away")
    await refreshing.version()
    await settled(refreshing)
    assert refreshing.counted("refreshes", tier="failed") == 1
    async with House(redis, epoch=refreshing.book.epoch).opened() as neighbour:
        assert await neighbour.version() == 4
        assert neighbour.answers()["redis"] == 1


async def test_refreshes_are_few_at_once_and_the_next_look_takes_its_turn(refreshing: House) -> None:
    days = [TODAY - timedelta(days=back) for back in range(3, 23)]
    for day in days:
        refreshing.commit(4, day)
        await refreshing.version(day)
    refreshing.clock.pass_seconds(100)
    refreshing.book.hold = True
    for _ in range(2):
        assert {await refreshing.version(day) for day in days} == {4}
    await refreshing.reads_are_held(8)
    refreshing.book.hold = False
    for event in tuple(refreshing.book.waiting):
        event.set()
    await settled(refreshing)
    for _ in range(3):
        for day in days:
            await refreshing.version(day)
        await settled(refreshing)
    assert refreshing.counted("refreshes", tier="database") == len(days)


async def test_who_waits_for_a_refresh_after_all_was_not_answered_by_a_cache(refreshing: House) -> None:
    await one_is_held(refreshing)
    refreshing.clock.pass_seconds(6)
    late = asyncio.create_task(refreshing.version())
    await asyncio.sleep(0)
    refreshing.book.waiting[0].set()
    assert await late == 4
    assert refreshing.answers() == {"l1": 1, "redis": 0, "database": 3}


async def test_an_absent_day_is_read_anew_by_each_process_with_what_it_stands_on(
    refreshing: House, redis: Redis
) -> None:
    async with House(redis, epoch=refreshing.book.epoch, refresh_ahead=0.4).opened() as neighbour:
        for house in (refreshing, neighbour):
            house.book.before = balance(7, YESTERDAY)
            await house.tiers.newest(1, 1, TODAY)
        before = neighbour.answers()["database"]
        for _ in range(10):
            for house in (refreshing, neighbour):
                house.clock.pass_seconds(3)
                assert await house.tiers.newest(1, 1, TODAY) == balance(7, YESTERDAY)
                await settled(house)
        assert neighbour.answers()["database"] == before, "nobody waited"


async def test_an_update_overtakes_what_is_being_read_anew(refreshing: House) -> None:
    await one_is_held(refreshing)
    refreshing.commit(5)
    refreshing.hear(5)
    refreshing.book.waiting[0].set()
    await settled(refreshing)
    assert await refreshing.version() == 5


async def test_what_is_being_read_anew_ends_with_the_process(refreshing: House) -> None:
    await refreshing.version()
    refreshing.clock.pass_seconds(10)
    refreshing.book.hold = True
    await refreshing.version()
    await refreshing.reads_are_held(1)
    await refreshing.tiers.aclose()
    assert not refreshing.book.waiting
