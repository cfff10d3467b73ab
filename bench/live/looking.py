"""Looks at the lanes many times a second: when was what committed?"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from bench.live.resolving import Look

# What is found committed was committed at most so long ago. A look takes the database 0.1 ms: 2% of a core.
LOOK_SECONDS: Final = 0.005
_POSITIONS: Final = "SELECT lane, finance_position, outbox_seq - published_seq AS unpublished FROM ops.lanes"
_DRAINED_SECONDS_MAX: Final = 180.0


class Looker:
    """Collects looks while its block lasts. Made by `looking`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._unpublished = 0
        self.looks: list[Look] = []

    async def look(self) -> Look:
        """One look; the time is taken after the answer, so that nothing is found earlier than it was so."""
        rows = await self._connection.fetch(_POSITIONS)
        self._unpublished = sum(row["unpublished"] for row in rows)
        return Look(time.time_ns(), {row["lane"]: row["finance_position"] or 0 for row in rows})

    async def until_committed(self, ends: Mapping[int, int]) -> None:
        """Until every lane stands behind its end. Raises TimeoutError."""
        async with asyncio.timeout(_DRAINED_SECONDS_MAX):
            while not self.looks or any(self.looks[-1].positions.get(lane, 0) < end for lane, end in ends.items()):
                await asyncio.sleep(LOOK_SECONDS)

    async def until_published(self) -> None:
        """Until everything committed is marked as published; an idle worker marks it in its own time."""
        async with asyncio.timeout(_DRAINED_SECONDS_MAX):
            while self._unpublished:
                await asyncio.sleep(LOOK_SECONDS)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        due = time.monotonic()
        while True:
            self.looks.append(await self.look())
            due = max(due + LOOK_SECONDS, time.monotonic())
            await asyncio.sleep(due - time.monotonic())


@asynccontextmanager
async def looking(connection: asyncpg.Connection) -> AsyncIterator[Looker]:
    """Looks are taken while the block lasts. The connection must be used by nobody else meanwhile."""
    looker = Looker(connection)
    running = asyncio.ensure_future(looker.run())
    try:
        yield looker
        if running.done():
            running.result()  # raises what ended it
    finally:
        running.cancel()
        await asyncio.wait({running})
