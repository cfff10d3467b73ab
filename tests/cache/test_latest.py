"""What a day without a row stands on: kept until an update of its property is heard, and never kept past one."""

import asyncio
from datetime import date, timedelta

import pytest

from pipeline.cache.floors import DayKey
from pipeline.cache.latest import LatestBalances
from pipeline.cache.metrics import TierMetrics
from pipeline.errors import DatabaseUnavailable, Transient
from pipeline.settings_serving import CacheSettings
from pipeline.storage.primary import PrimaryDay
from schemas.updates import BalanceUpdate
from tests.cache.house import Open, balance
from tests.support.clocks import HandClock
from tests.support.events import NOON, TODAY

EPOCH = "1-1"


class Books:
    """One property's version, as the primary has it; a read may be held on its way."""

    def __init__(self) -> None:
        self.version = 1
        self.epoch = EPOCH
        self.reads = 0
        self.held: asyncio.Event | None = None
        self.error: Exception | None = None

    async def of_day(self, key: DayKey) -> PrimaryDay:
        self.reads += 1
        found = balance(self.version, key[2] - timedelta(days=1), key[1])
        if self.held is not None:
            await self.held.wait()
        if self.error is not None:
            raise self.error
        return PrimaryDay(self.epoch, None, found)


class Reader:
    """A process's part, whose feed is there."""

    def __init__(self) -> None:
        self.books, self.clock, self.metrics = Books(), HandClock(), TierMetrics()
        self.latest = LatestBalances(self.books, self._met, Open(), CacheSettings(), self.clock, self.metrics)
        self.past: set[str] = set()
        self.latest.feed_back()
        self.hear(property_id=99)  # the epoch is known

    def _met(self, epoch: str) -> bool:
        return epoch not in self.past

    async def version(self, property_id: int = 1, day: date = TODAY) -> int:
        found = await self.latest.before((1, property_id, day))
        assert found is not None
        return found.version

    def hear(self, property_id: int = 1, epoch: str = EPOCH) -> None:
        figures = (0, 0, 0, 0, 0, 0, None, 0, 0)
        day = TODAY - timedelta(days=3)
        self.latest.noted(BalanceUpdate(1, property_id, day, epoch, 2, *figures, NOON, "event", None))


async def test_it_is_read_once_until_an_update_of_the_property_is_heard() -> None:
    reader = Reader()
    assert [await reader.version() for _ in range(3)] == [1, 1, 1]
    assert reader.books.reads == 1
    reader.hear(property_id=2)
    reader.books.version = 5
    assert await reader.version() == 1, "another property's update voids nothing"
    reader.hear()
    assert await reader.version() == 5
    assert reader.books.reads == 2


async def overtaken() -> tuple[Reader, "asyncio.Task[int]"]:
    """A read of version 1 that is on its way while version 2 is heard."""
    reader = Reader()
    reader.books.held = asyncio.Event()
    before = asyncio.create_task(reader.version())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reader.books.version = 2
    reader.hear()
    return reader, before


async def test_what_was_read_before_an_update_was_heard_is_not_kept() -> None:
    reader, before = await overtaken()
    after = asyncio.create_task(reader.version())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reader.books.held is not None
    reader.books.held.set()
    assert (await before, await after) == (1, 2), "who asks after it begins another read"
    assert await reader.version() == 2
    assert reader.books.reads == 2


async def test_what_an_update_has_overtaken_is_answered_and_forgotten() -> None:
    reader, before = await overtaken()
    assert reader.books.held is not None
    reader.books.held.set()
    assert await before == 1
    assert await reader.version() == 2


@pytest.mark.parametrize("event", ["feed_lost", "feed_back", "epoch", "time"])
async def test_what_ends_everything(event: str) -> None:
    reader = Reader()
    assert await reader.version() == 1
    reader.books.version = 3
    if event == "epoch":
        reader.hear(property_id=2, epoch="1-2")
    elif event == "time":
        reader.clock.pass_seconds(16)
    else:
        getattr(reader.latest, event)()
    assert await reader.version() == 3
    reader.books.version = 4
    assert await reader.version() == (4 if event == "feed_lost" else 3), "without the feed nothing is kept"


async def test_what_a_past_primary_says_is_passed_on_and_kept_nowhere() -> None:
    reader = Reader()
    reader.past, reader.books.epoch, reader.books.version = {"1-0"}, "1-0", 3
    assert await reader.version() == 3
    reader.books.epoch, reader.books.version = EPOCH, 7
    assert await reader.version() == 7


async def test_a_read_that_meets_a_new_epoch_forgets_what_is_of_the_one_before() -> None:
    reader = Reader()
    assert [await reader.version(), await reader.version(2)] == [1, 1]
    reader.books.epoch, reader.books.version = "1-2", 9
    assert await reader.version(3) == 9
    assert [await reader.version(), await reader.version(2)] == [9, 9]
    reader.books.version = 10
    reader.hear(epoch=EPOCH)
    assert await reader.version() == 9, "what is left of the old history says nothing"


async def test_errors_reach_all_who_wait_and_are_not_kept() -> None:
    reader = Reader()
    reader.books.error, reader.books.held = DatabaseUnavailable("away"), asyncio.Event()
    waiting = [asyncio.create_task(reader.version()) for _ in range(3)]
    await asyncio.sleep(0)
    reader.books.held.set()
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [DatabaseUnavailable] * 3
    assert reader.books.reads == 1
    reader.books.error = None
    assert await reader.version() == 1


async def test_who_asks_for_many_days_keeps_a_bounded_number() -> None:
    reader = Reader()
    for back in range(400):
        await reader.version(day=TODAY - timedelta(days=back))
    again = reader.books.reads
    assert await reader.version(day=TODAY - timedelta(days=399)) == 1
    assert reader.books.reads == again
    await reader.version(day=TODAY)
    assert reader.books.reads == again + 1, "the first ones have left"


async def test_closed_it_answers_nobody() -> None:
    reader = Reader()
    await reader.latest.aclose()
    with pytest.raises(Transient):
        await reader.version()
