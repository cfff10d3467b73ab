"""The oldest record that is not committed: among those that wait, and those that a writer has in its hands."""

import asyncio
from datetime import timedelta

from schemas.routing import home_lane
from schemas.topics import Feed
from tests.batchers.test_writer import Desk
from tests.support.events import NOON
from tests.support.ledger import Ledger
from tests.support.waiting import until

HOME = home_lane(1, 2)


async def test_a_batch_in_hand_counts_until_it_is_committed_however_long_that_takes(ledger: Ledger) -> None:
    desk = Desk(ledger)
    oldest = desk.writer.oldest_waiting
    assert oldest(HOME, Feed.EVENTS) is None
    desk.gathering.add(HOME, Feed.EVENTS, [ledger.event(1)])
    first = oldest(HOME, Feed.EVENTS)
    async with ledger.admin.transaction():
        await ledger.admin.execute("SELECT FROM ops.lanes WHERE lane = $1 FOR UPDATE", HOME)
        writing = asyncio.ensure_future(desk.group.run())

        async def in_hand() -> bool:
            return not desk.gathering.rows

        await until(in_hand)
        ledger.lanes[HOME].appended_at += timedelta(minutes=1)
        desk.gathering.add(HOME, Feed.EVENTS, [ledger.event(2)])
        assert oldest(HOME, Feed.EVENTS) == first == NOON + timedelta(hours=1)
        assert oldest(HOME, Feed.CORRECTIONS) is None
    desk.gathering.close()
    await writing
    assert oldest(HOME, Feed.EVENTS) is None


async def test_of_a_batch_that_was_halved_the_committed_half_does_not_count(ledger: Ledger) -> None:
    offsets = ledger.lanes[HOME]
    records = [ledger.event(1)]
    offsets.appended_at += timedelta(minutes=1)
    records.append(ledger.event(2))
    batch = ledger.batch(*records)
    desk = Desk(ledger)
    desk.writer._writing = batch
    desk.writer.positions[HOME, Feed.EVENTS] = batch.slices[0].start + 1
    assert desk.writer.oldest_waiting(HOME, Feed.EVENTS) == offsets.appended_at
