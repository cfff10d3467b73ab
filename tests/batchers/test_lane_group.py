"""A writer that gives its lanes up is not kept by an effect whose client lost a cancellation."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, cast

import pytest

from batchers.drain import Drain
from batchers.outbox import OutboxRow
from batchers.writer import Writer
from batchers.writers import LaneGroup
from pipeline.errors import CacheUnavailable, FenceLost
from tests.batchers.test_drain import World


class Discarded:
    """Books, as far as a group ends with them."""

    discarded = False

    def discard(self) -> None:
        self.discarded = True


@pytest.mark.parametrize("answered", [True, False])
async def test_a_lost_fence_ends_the_group_though_a_client_loses_the_cancellation_of_an_effect(answered: bool) -> None:
    world, books, answering = World(), Discarded(), asyncio.Event()

    async def deaf(_rows: Sequence[OutboxRow]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            answering.set()
            await asyncio.sleep(60)
        if not answered:  # for ever: a cache that is away holds nobody back
            raise CacheUnavailable("away")

    class Refused:
        async def run(self) -> None:
            await answering.wait()
            raise FenceLost("lane 0: epoch 1, and 2 in the database")

    publisher = world.drain()
    invalidator = Drain("invalidate", deaf, world.reload, {0: 0}, {0: 0}, waiting_max=2, pause_max_seconds=0.001)
    invalidator.offer(world.commit(0))
    nothing: Any = None
    group = LaneGroup(cast("Writer", Refused()), nothing, cast("Any", books), publisher, invalidator)
    running = asyncio.create_task(group.run())
    done, _ = await asyncio.wait([running], timeout=5)
    assert done, "the group waits for ever"
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(FenceLost)
    assert books.discarded
