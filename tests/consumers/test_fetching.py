"""The poll loop: everything arrives once and in order, what is full is paused, what is stopped stays silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from consumers.fetching import Fetching
from consumers.lane import FetchedLane
from pipeline.errors import BrokerUnavailable, Fatal, TopicAltered, TopicMismatch
from schemas.codec import Rules
from schemas.lanes import Claim, LastRecord, Standing
from schemas.records import Accepted, Judged, Rejected
from schemas.topics import Feed
from tests.support.claims import claim
from tests.support.consumer import TOPIC, HandConsumer, partition, record
from tests.support.events import NOON
from tests.support.waiting import until

RULES = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))
CLAIM = claim(Standing(0))


@dataclass
class Desk:
    """Takes records; full and roomy as the test says."""

    taken: dict[int, list[Judged]] = field(default_factory=dict)
    full_lanes: set[int] = field(default_factory=set)
    not_roomy: set[int] = field(default_factory=set)
    stopped: list[tuple[int, Fatal]] = field(default_factory=list)

    def add(self, lane: int, _feed: Feed, records: Sequence[Judged]) -> None:
        self.taken.setdefault(lane, []).extend(records)

    def full(self, lane: int) -> bool:
        return lane in self.full_lanes

    def roomy(self, lane: int) -> bool:
        return lane not in self.full_lanes | self.not_roomy

    async def stop_lane(self, claim: Claim, error: Fatal) -> None:
        self.stopped.append((claim.lane, error))

    def offsets(self, lane: int) -> list[int]:
        return [each.origin.offset for each in self.taken.get(lane, [])]


@contextlib.asynccontextmanager
async def fetching(consumer: HandConsumer, desk: Desk, *lanes: FetchedLane) -> AsyncIterator[dict[int, FetchedLane]]:
    by_partition = {partition(lane.lane): lane for lane in lanes}
    loop = Fetching(consumer, by_partition, RULES, desk, desk.stop_lane)
    task = asyncio.create_task(loop.run())
    try:
        yield {lane.lane: lane for lane in lanes}
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def lane(number: int, claim: Claim = CLAIM, start: int = 0) -> FetchedLane:
    return FetchedLane(Feed.EVENTS, TOPIC, replace(claim, lane=number), start)


async def arrived(desk: Desk, number: int, count: int) -> None:
    async def there() -> bool:
        return len(desk.offsets(number)) >= count

    await until(there)


async def test_records_arrive_judged_in_order_and_once() -> None:
    consumer, desk = HandConsumer(), Desk()
    consumer.give(0, range(5))
    consumer.give(1, range(3))
    consumer.give_records(1, [record(1, 3, b"junk")])
    async with fetching(consumer, desk, lane(0), lane(1)) as lanes:
        await arrived(desk, 0, 5)
        await arrived(desk, 1, 4)
        consumer.give(0, [5])
        await arrived(desk, 0, 6)
    assert (desk.offsets(0), desk.offsets(1)) == (list(range(6)), list(range(4)))
    assert [type(each) for each in desk.taken[1]] == [Accepted, Accepted, Accepted, Rejected]
    assert lanes[0].position == 6


async def test_a_record_keeps_where_it_stood_and_when_it_was_appended() -> None:
    consumer, desk = HandConsumer(), Desk()
    consumer.give(0, [7])
    async with fetching(consumer, desk, lane(0)):
        await arrived(desk, 0, 1)
    origin = desk.taken[0][0].origin
    assert (origin.topic, origin.lane, origin.offset, origin.key) == (TOPIC, 0, 7, b"1")
    assert origin.appended_at == NOON + timedelta(milliseconds=7)


async def test_what_is_before_the_position_is_not_handed_on() -> None:
    consumer, desk = HandConsumer(), Desk()
    consumer.give(0, range(6))
    async with fetching(consumer, desk, lane(0, claim(Standing(4)), 4)):
        await arrived(desk, 0, 2)
    assert desk.offsets(0) == [4, 5]


async def test_a_full_lane_is_paused_until_it_is_roomy_and_its_neighbour_is_not() -> None:
    consumer, desk = HandConsumer(), Desk(full_lanes={0})
    consumer.give(0, range(3))
    consumer.give(1, range(3))
    async with fetching(consumer, desk, lane(0), lane(1)) as lanes:
        await arrived(desk, 1, 3)
        assert consumer.paused() == {partition(0)}
        assert desk.offsets(0) == []
        desk.full_lanes.clear()
        desk.not_roomy = {0}  # below the bound, but not yet well below
        consumer.give(1, [3])
        await arrived(desk, 1, 4)
        assert desk.offsets(0) == []
        lanes[0].fetched_at = 0.0
        desk.not_roomy = set()
        await arrived(desk, 0, 3)
    assert not consumer.paused()
    assert lanes[0].fetched_at > 0.0  # a pause is not a silence: the watchdog counts from its end


async def test_an_altered_topic_stops_its_own_lane_only() -> None:
    consumer, desk = HandConsumer(), Desk()
    consumed = LastRecord(0, NOON, b"another digest")
    altered = lane(0, claim(Standing(1, consumed)))
    consumer.give(0, range(3))
    consumer.give(1, range(2))
    async with fetching(consumer, desk, altered, lane(1)):
        await arrived(desk, 1, 2)
        consumer.asked.clear()
        consumer.give(0, [3])
        consumer.give(1, [2])
        await arrived(desk, 1, 3)
    ((number, error),) = desk.stopped
    assert (number, type(error)) == (0, TopicAltered)
    assert desk.offsets(0) == []
    assert set(consumer.asked) == {(partition(1),)}  # the stopped lane is never asked for again
    assert consumer.paused() == {partition(0)}


async def test_with_every_lane_stopped_the_client_is_not_asked_for_anything() -> None:
    """Asked without partitions, it would deliver all of them."""
    consumer, desk = HandConsumer(), Desk()
    consumer.give(0, range(3))
    async with fetching(consumer, desk):
        await asyncio.sleep(0.15)
    assert consumer.asked == []
    assert not desk.taken


async def test_a_broker_that_is_away_ends_the_session() -> None:
    consumer = HandConsumer(away=True)
    loop = Fetching(consumer, {partition(0): lane(0)}, RULES, Desk(), Desk().stop_lane)
    with pytest.raises(BrokerUnavailable):
        await asyncio.wait_for(loop.run(), 5)


async def test_a_long_backlog_leaves_the_loop_to_others_in_between() -> None:
    """Heartbeats and writers run on the same loop: one answer may hold it for its own records only."""
    consumer, desk = HandConsumer(), Desk()
    consumer.give(0, range(3_500))
    async with fetching(consumer, desk, lane(0)):
        seen = []
        while len(desk.offsets(0)) < 3_500:
            await asyncio.sleep(0)
            seen.append(len(desk.offsets(0)))
    assert len(set(seen) - {0}) >= 4


async def test_a_record_that_its_producer_has_stamped_stops_its_lane() -> None:
    """By that time it would be judged, and a producer could choose what is too late."""
    consumer, desk = HandConsumer(), Desk()
    stamped = replace(record(0, 1), timestamp_type=0)
    consumer.give_records(0, [record(0, 0), stamped])
    consumer.give(1, range(2))
    async with fetching(consumer, desk, lane(0), lane(1)):
        await arrived(desk, 1, 2)
    assert [(number, type(error)) for number, error in desk.stopped] == [(0, TopicMismatch)]
    assert "record 1 bears its producer's time" in str(desk.stopped[0][1])


async def test_large_records_are_judged_a_few_at_a_time() -> None:
    """A megabyte of brackets takes long to judge; a hundred of them must not silence the heartbeats."""
    consumer, desk = HandConsumer(), Desk()
    consumer.give_records(0, [record(0, offset, b"[" * 250_000) for offset in range(40)])
    async with fetching(consumer, desk, lane(0)):
        seen = set()
        while len(desk.offsets(0)) < 40:
            await asyncio.sleep(0)
            seen.add(len(desk.offsets(0)))
    assert len(seen) >= 20


async def test_a_held_lane_is_paused_at_once_and_stays_so_however_roomy_it_is() -> None:
    consumer, desk = HandConsumer(), Desk()
    consumer.give(0, range(5))
    consumer.give(1, range(3))
    lanes = {partition(number): lane(number) for number in (0, 1)}
    loop = Fetching(consumer, lanes, RULES, desk, desk.stop_lane)
    loop.hold(0)
    assert consumer.paused() == {partition(0)}
    task = asyncio.create_task(loop.run())
    try:
        await arrived(desk, 1, 3)
        assert desk.offsets(0) == []
        loop.release(0)
        assert consumer.paused() == set()
        await arrived(desk, 0, 5)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
