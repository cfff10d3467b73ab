"""Whatever comes in whatever order, no read answers a version below one that was heard before it was asked for.

Also where a day has no row, and the answer is the day before it.
"""

import asyncio
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from pipeline.storage.values import Balance
from tests.cache.house import House
from tests.support.events import TODAY

DAYS = (TODAY, TODAY - timedelta(days=1))
UNTRADED = TODAY + timedelta(days=1)  # has no row, ever: it closes as one of those before it
# A commit; its update heard, or an earlier one again; its invalidation; reads of the primary begun and answered, the
# oldest or the newest first, or a read as a whole; what the server loses; the feed; so much time that all has its end,
# or so little that a look has the day read anew.
# What must happen several times for anything to go wrong is there several times.
STEPS = (
    *("commit", "hear", "read", "read_through") * 3,
    *("hear_again", "invalidate", "land_first", "land_last") * 2,
    *("lose", "feed_lost", "feed_back", "feed_back", "age", "wait", "wait"),
)
steps = st.lists(
    st.tuples(st.sampled_from(STEPS), st.sampled_from((*DAYS, TODAY, UNTRADED, UNTRADED))), min_size=20, max_size=60
)


class World:
    """What is committed, heard and invalidated of two days, and the reads that are under way."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.committed = dict.fromkeys(DAYS, 0)
        self.heard = dict.fromkeys(DAYS, 0)
        self.highest_heard = dict.fromkeys(DAYS, 0)
        self.invalidated = dict.fromkeys(DAYS, 0)
        # With what was heard of both days before each of them.
        self.reads: list[tuple[asyncio.Task[Balance | None], date, dict[date, int]]] = []

    async def step(self, name: str, day: date) -> None:
        if name in {"commit", "hear", "hear_again", "invalidate"}:
            await self._write(name, day)
        elif name in {"lose", "feed_lost", "feed_back", "age", "wait"}:
            await self._trouble(name)
        elif name.startswith("read"):
            self.house.book.hold = name == "read"
            read = asyncio.create_task(self.house.tiers.newest(1, 1, day))
            self.reads.append((read, day, dict(self.highest_heard)))
        elif self.house.book.waiting:
            self.house.book.waiting[0 if name == "land_first" else -1].set()
        await self._settle()
        self.house.book.hold = True
        self._check()

    async def _write(self, name: str, day: date) -> None:
        day = min(day, TODAY)
        if name == "commit":
            self.committed[day] += 1
            self.house.commit(self.committed[day], day)
        elif name == "hear" and self.heard[day] < self.committed[day]:
            self._hear(day, self.heard[day] + 1)
        elif name == "hear_again" and self.heard[day] > 1:
            self._hear(day, self.heard[day] - 1)  # a reader of the topic that begins again a little earlier
        elif name == "invalidate" and self.invalidated[day] < self.committed[day]:
            self.invalidated[day] += 1
            await self.house.invalidate(self.invalidated[day], day)

    async def _trouble(self, name: str) -> None:
        if name == "feed_lost":
            self.house.tiers.feed_lost()
        elif name == "feed_back":
            self.house.tiers.feed_back()
        elif name == "wait":
            self.house.clock.pass_seconds(2)  # even sixty times it is shorter than a floor is needed
        else:
            self.house.clock.pass_seconds(200 if name == "age" else 0)
            await self.house.lose()

    async def land_all(self) -> None:
        self.house.book.hold = False
        for event in tuple(self.house.book.waiting):
            event.set()
        await asyncio.gather(*(task for task, _, _ in self.reads))
        self._check()

    def _hear(self, day: date, version: int) -> None:
        self.heard[day] = version
        self.highest_heard[day] = max(self.highest_heard[day], version)
        self.house.hear(version, day)

    async def _settle(self) -> None:
        """Until every fetch waits in the primary, or has ended with those who wait for it."""
        await asyncio.sleep(0)
        book, tiers = self.house.book, self.house.tiers
        flights = tiers._flights._tasks, tiers._latest._flights._tasks
        while any(event.is_set() for event in book.waiting) or sum(map(len, flights)) != len(book.waiting):
            await asyncio.sleep(0.0002)
        for _ in range(3):
            await asyncio.sleep(0)

    def _check(self) -> None:
        for task, day, heard_before in [each for each in self.reads if each[0].done()]:
            found = task.result()
            at = found.balance_date if found is not None else date.min
            assert not any(heard for each, heard in heard_before.items() if at < each <= day), (
                "a later day was heard of"
            )
            if found is not None:
                assert heard_before[at] <= found.version <= self.committed[at]
        self.reads = [each for each in self.reads if not each[0].done()]
        for day in DAYS:
            kept = self.house.tiers._local.get((1, 1, day))
            assert kept is None or self.highest_heard[day] <= kept.day.version <= self.committed[day]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.sampled_from((1, 100)))
async def test_no_read_answers_less_than_what_was_heard_before_it(
    redis: Redis, steps: list[tuple[str, date]], floors_max: int
) -> None:
    async with House(redis, floors_max=floors_max, refresh_ahead=0.9).opened() as house:
        world = World(house)
        for name, day in steps:
            await world.step(name, day)
        await world.land_all()
