"""Feed and hub together, as a process that serves subscribers runs them."""

import asyncio
from typing import Final

from pipeline.realtime.feed import Feed
from pipeline.realtime.hub import Hub

_LOOK_SECONDS: Final = 1.0


async def run(feed: Feed, hub: Hub) -> None:
    """Until it is cancelled: updates come in, slow subscribers are ended. Everybody is sent away at the end."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feed.run(), name="realtime-feed")
            tasks.create_task(_look(hub), name="realtime-look")
    finally:
        hub.drain()


async def _look(hub: Hub) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        hub.look()
