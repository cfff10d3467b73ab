"""What one subscriber is told while the database behind is not as it should be."""

import asyncio
from contextlib import aclosing

import pytest

from pipeline.errors import DatabaseUnavailable, Transient
from pipeline.realtime.cursor import Cursors
from pipeline.realtime.messages import CloseReason
from pipeline.realtime.telling import ResyncTold, SnapshotPage, Subscribed, Telling
from pipeline.storage.primary import PrimaryDays
from tests.realtime.making import EPOCH, NEXT_EPOCH, World, update

CURSORS = Cursors([b"0123456789abcdef0123456789abcdef"])


class Primary:
    """Answers what it is told to; each time counted."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.away = False
        self.asked = 0

    async def read(self) -> PrimaryDays:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise DatabaseUnavailable("it is away")
        return PrimaryDays(self.epoch, [], complete=True)


def telling_of(world: World, primary: Primary) -> Telling:
    return Telling(world.join(), CURSORS, primary.read, lambda: None, heartbeat_seconds=20)


async def test_a_former_primary_is_not_asked_again_and_again() -> None:
    world, primary = World().begin(), Primary(EPOCH)
    world.tell(update(1, epoch=NEXT_EPOCH))
    told = []
    async with aclosing(telling_of(world, primary).told()) as stream:
        try:
            async with asyncio.timeout(1):
                async for each in stream:
                    told.append(each)
                    if len(told) > 1_000:
                        break
        except TimeoutError:
            pass
        assert primary.asked < 10, "by each of ten thousand subscribers"
        primary.epoch = NEXT_EPOCH
        async with asyncio.timeout(5):
            async for each in stream:
                if isinstance(each, SnapshotPage):
                    break
    assert isinstance(told[0], Subscribed)
    assert sum(isinstance(each, ResyncTold) for each in told) <= 1


async def test_changes_since_are_not_answered_by_a_former_primary() -> None:
    world, primary = World().begin(), Primary(EPOCH)
    world.tell(update(1, epoch=NEXT_EPOCH))
    with pytest.raises(Transient):
        async with asyncio.timeout(1):
            await telling_of(world, primary).at_once()


async def test_who_waits_for_a_snapshot_is_not_slow() -> None:
    """The database is away, and a worker has found the new one already: updates come, and nothing can be told yet."""
    world, primary = World().begin(), Primary(EPOCH)
    primary.away = True
    joined = world.join()
    telling = Telling(joined, CURSORS, primary.read, lambda: None, heartbeat_seconds=20)
    async with aclosing(telling.told()) as stream:
        assert isinstance(await anext(stream), Subscribed)
        await anext(stream)  # a heartbeat: the snapshot could not be read
        world.tell(update(1))
        world.clock.pass_seconds(31)
        world.hub.look()
        assert joined.closed is None
        primary.away = False
        while not isinstance(await anext(stream), SnapshotPage):
            pass
        world.clock.pass_seconds(31)
        world.hub.look()
        assert joined.closed is CloseReason.SLOW_CONSUMER
