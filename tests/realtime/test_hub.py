"""What subscribers are told, and when they are told to begin anew, ended or refused."""

import asyncio

import pytest

from pipeline.realtime.cursor import Cursor
from pipeline.realtime.hub import Hub
from pipeline.realtime.messages import CloseReason, Delivery, Filters, Message, Refusal, Resync, ResyncReason
from pipeline.realtime.subscription import Subscriber, Subscription
from schemas.epochs import UNKNOWN
from tests.realtime.making import EPOCH, NEXT_EPOCH, World, key, update


def drain(subscription: Subscription) -> list[Message]:
    taken = []
    while (message := subscription.take()) is not None:
        taken.append(message)
    return taken


def told(subscription: Subscription) -> list[tuple[int, int, int | None]]:
    """(property, version, previous version) of what waits."""
    return [
        (each.entry.update.property_id, each.entry.update.version, each.previous_version)
        for each in drain(subscription)
        if isinstance(each, Delivery)
    ]


def test_a_slow_subscriber_is_told_the_newest_state_alone_and_no_gap() -> None:
    world = World().begin()
    slow = world.join_with_snapshot()
    world.tell(update(1))
    assert told(slow) == [(1, 1, None)]
    for property_, version in ((1, 2), (2, 1), (1, 3)):
        world.tell(update(version, property_=property_))
    assert told(slow) == [(2, 1, None), (1, 3, 1)]  # by the newest change
    assert world.value("conflated_total") == 1
    world.tell(update(3))
    world.tell(update(2))
    assert told(slow) == []


def test_what_a_snapshot_says_is_not_told_again() -> None:
    world = World().begin()
    joined = world.join()
    world.tell(update(1))
    world.tell(update(5, property_=2))
    world.tell(update(2))
    assert joined.note(EPOCH, {key(1): 2, key(2): 4})
    assert told(joined) == [(2, 5, 4)]
    world.tell(update(3))
    assert told(joined) == [(1, 3, 2)]


def test_only_ones_own_organisation_and_what_was_asked_for() -> None:
    world = World().begin()
    joined = world.join_with_snapshot(filters=Filters(frozenset({2})))
    world.tell(update(1, org=2, property_=2))
    world.tell(update(1, property_=1))
    world.tell(update(1, property_=2))
    assert told(joined) == [(2, 1, None)]


def test_who_comes_back_is_told_what_it_missed() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    world.tell(update(1, property_=1))
    world.tell(update(1, property_=2))
    world.tell(update(2, property_=1))
    assert isinstance(joined.take(), Delivery)  # property 2: property 1 has changed again behind it
    cursor = joined.cursor()
    joined.close(CloseReason.LEFT)
    world.tell(update(2, property_=2))
    assert told(world.join(cursor)) == [(1, 2, None), (2, 2, None)]


@pytest.mark.parametrize("way", ["fresh", "resync pending", "resync taken"])
def test_no_cursor_goes_on_past_a_snapshot_that_was_not_told(way: str) -> None:
    world = World().begin()
    joined = world.join() if way == "fresh" else world.join_with_snapshot()
    world.tell(update(1))
    if way != "fresh":
        world.tell(update(2, epoch=NEXT_EPOCH))
    if way == "resync taken":
        assert joined.take() == Resync(ResyncReason.EPOCH_CHANGED)
    assert joined.cursor().epoch == UNKNOWN
    assert world.join(joined.cursor()).take() == Resync(ResyncReason.CURSOR_FOREIGN)


def test_a_cursor_that_cannot_be_gone_on_from_says_why() -> None:
    world = World(ring_entries_max=2).begin(10)
    for version in range(1, 6):
        world.tell(update(version))
    view = Filters().view

    def why(
        epoch: str = EPOCH, topic: str = "realtime-updates", partition: int = 0, offset: int = 15
    ) -> Message | None:
        return world.join(Cursor(epoch, topic, partition, offset, 1, view), user=f"{epoch}{offset}").take()

    assert why() is None
    assert why(offset=12) == Resync(ResyncReason.CURSOR_TOO_OLD)
    assert why(offset=16) == Resync(ResyncReason.CURSOR_AHEAD)
    assert why(topic="other") == Resync(ResyncReason.CURSOR_FOREIGN)
    assert why(partition=1) == Resync(ResyncReason.CURSOR_FOREIGN)
    assert world.join(Cursor(EPOCH, "realtime-updates", 0, 15, 1, "x")).take() == Resync(ResyncReason.CURSOR_FOREIGN)
    assert why(epoch=NEXT_EPOCH) is None  # it has heard more than this process
    world.tell(update(6, epoch=NEXT_EPOCH))
    assert why(offset=16) == Resync(ResyncReason.EPOCH_CHANGED)


def test_a_new_primary_makes_everybody_begin_anew_also_who_gets_no_update() -> None:
    world = World().begin()
    of_one, of_other = world.join_with_snapshot(), world.join_with_snapshot(org=2)
    world.tell(update(1))
    world.tell(update(2, epoch=NEXT_EPOCH))
    assert of_other.take() == Resync(ResyncReason.EPOCH_CHANGED)
    assert of_one.take() == Resync(ResyncReason.EPOCH_CHANGED)
    assert of_one.note(NEXT_EPOCH, {key(): 1})
    world.tell(update(9, epoch=EPOCH))  # told late, of the former primary: in the snapshot, or lost
    assert told(of_one) == [(1, 2, 1)]


def test_a_snapshot_of_a_former_primary_is_refused() -> None:
    world = World().begin()
    joined = world.join()
    world.tell(update(2, epoch=NEXT_EPOCH))
    assert not joined.note(EPOCH, {key(): 7})
    assert joined.take() == Resync(ResyncReason.EPOCH_CHANGED)


def test_after_a_resync_nothing_is_known_of_what_came_before_it() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    world.tell(update(1, epoch=NEXT_EPOCH))
    assert joined.note(NEXT_EPOCH, {key(): 3})  # it was being read when the Resync came, which still waits
    assert joined.take() == Resync(ResyncReason.EPOCH_CHANGED)
    world.tell(update(4, epoch=NEXT_EPOCH))
    assert told(joined) == [(1, 4, None)]


def test_a_snapshot_that_is_behind_what_was_told_takes_nothing_back() -> None:
    world = World().begin()
    joined = world.join()
    world.tell(update(5))
    assert told(joined) == [(1, 5, None)]
    assert joined.note(EPOCH, {key(): 4})
    world.tell(update(5))
    world.tell(update(6))
    assert told(joined) == [(1, 6, 5)]


def test_a_snapshot_ahead_of_the_topic_leaves_what_the_former_primary_told() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    world.tell(update(7))
    assert joined.note(NEXT_EPOCH, {key(): 6})
    assert drain(joined) == []
    world.tell(update(7, epoch=NEXT_EPOCH))
    assert told(joined) == [(1, 7, 6)]


def test_more_days_than_may_wait_end_it() -> None:
    world = World(pending_max=2).begin()
    joined = world.join_with_snapshot()
    for property_ in (1, 2, 3):
        world.tell(update(1, property_=property_))
    assert joined.closed is CloseReason.SLOW_CONSUMER
    assert joined.take() is None
    # Coming back with the same cursor, it would be ended again, for ever.
    assert world.join(joined.cursor()).take() == Resync(ResyncReason.CURSOR_TOO_OLD)
    assert world.value("closed_total", reason="slow_consumer") == 1


def test_who_takes_nothing_for_too_long_is_ended() -> None:
    world = World().begin()
    idle, taking, slow = (world.join_with_snapshot() for _ in range(3))
    idle.filters = Filters(frozenset({9}))
    for version in (1, 2):
        world.tell(update(version))
        assert taking.take() is not None
        world.clock.pass_seconds(20)
        world.hub.look()
    assert (idle.closed, taking.closed, slow.closed) == (None, None, CloseReason.SLOW_CONSUMER)


def refusal(hub: Hub, org: int, user: str) -> object:
    answer = hub.subscribe(Subscriber(org, user), Filters())
    return answer if isinstance(answer, Refusal) else None


def test_caps_by_user_organisation_and_process() -> None:
    world = World(user_max=2, org_max=3, process_max=4)
    assert refusal(world.hub, 1, "a") is Refusal.NOT_READY
    world.begin()
    first = world.join(user="a")
    assert refusal(world.hub, 2, "a") is None
    assert refusal(world.hub, 1, "a") is Refusal.USER_FULL
    assert refusal(world.hub, 1, "b") is None
    assert refusal(world.hub, 1, "c") is None
    assert refusal(world.hub, 1, "d") is Refusal.ORG_FULL
    assert refusal(world.hub, 2, "d") is Refusal.PROCESS_FULL
    assert world.value("connections") == 4
    first.close(CloseReason.LEFT)
    first.close(CloseReason.SLOW_CONSUMER)
    assert world.value("connections") == 3
    assert refusal(world.hub, 1, "a") is None
    assert world.value("refused_total", reason="org_full") == 1


async def test_draining_ends_everybody_and_wakes_them() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    waiting = asyncio.create_task(joined.wait())
    await asyncio.sleep(0)
    world.hub.drain()
    await asyncio.wait_for(waiting, 5)
    assert joined.closed is CloseReason.DRAINING
    assert refusal(world.hub, 1, "b") is Refusal.DRAINING


async def test_waiting_ends_when_there_is_something_and_begins_again() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    waiting = asyncio.create_task(joined.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    world.tell(update(1))
    await asyncio.wait_for(waiting, 5)
    assert joined.note(EPOCH, {key(): 1})  # it was in the snapshot: nothing waits any more
    again = asyncio.create_task(joined.wait())
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


def test_a_topic_that_was_lost_or_has_grown_makes_everybody_begin_anew() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    world.tell(update(1))
    world.hub.begin({0: 50}, ResyncReason.TOPIC_LOST)
    assert drain(joined) == [Resync(ResyncReason.TOPIC_LOST)]
    assert joined.note(EPOCH, {key(): 1})
    assert joined.cursor().offset == 50


def test_an_update_of_a_foreign_partition_is_no_part_of_a_stream() -> None:
    world = World(partitions=2).begin()
    joined = world.join_with_snapshot()
    home = joined.cursor().partition
    world.tell(update(1), partition=1 - home)
    assert drain(joined) == [Resync(ResyncReason.TOPIC_GROWN)]


def test_of_more_days_than_are_remembered_the_newest_are_known() -> None:
    world = World(known_max=2).begin()
    joined = world.join_with_snapshot()
    for property_ in (1, 2, 3):
        world.tell(update(1, property_=property_))
        drain(joined)
    for property_ in (3, 1):
        world.tell(update(2, property_=property_))
    assert told(joined) == [(3, 2, 1), (1, 2, None)]


def test_deliveries_are_counted_and_timed_from_the_change() -> None:
    world = World().begin()
    joined = world.join_with_snapshot()
    world.tell(update(1))
    world.clock.pass_seconds(0.4)
    drain(joined)
    assert world.value("deliveries_total") == 1
    assert world.value("delivery_seconds_sum") == pytest.approx(0.4)
    assert world.value("ring_bytes") > 1_000
