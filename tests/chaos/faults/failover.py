"""The primary dies and its standby takes over, with all that it had, or with less."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.faults.fault import Fault
from tests.chaos.looking import position, total, value
from tests.chaos.promises import DidNotFire, PromiseBroken

# From the death of the primary to the first batch that is committed on the standby.
TAKEOVER_SECONDS_MAX: Final = 30.0
_PATIENCE_SECONDS: Final = 90.0  # with another trouble beside it
_LOOK_SECONDS: Final = 0.1


@dataclass
class FailedOver(Fault):
    """The primary is killed, the standby promoted, and the link leads to it.

    With `tail_seconds` the standby has heard nothing for so long when that happens: what was committed meanwhile is
    gone, and its events must be consumed again. Replication is asynchronous, so a little may be lost without, too.
    """

    tail_seconds: float
    lost_records: int = field(init=False, default=0)
    takeover_seconds: float = field(init=False, default=0.0)
    _timeline: int = field(init=False, default=0)

    async def prepare(self) -> None:
        await self.arena.nodes.follow()
        self._timeline = await _timeline(self.arena)

    async def strike(self) -> None:
        nodes, link = self.arena.nodes, self.arena.links.replication
        if self.tail_seconds:
            link.down()
            heard = await position(self.arena)
            await asyncio.sleep(self.tail_seconds)
            await self._something_to_lose(heard)
        committed = await position(self.arena)
        died = time.monotonic()
        await asyncio.to_thread(nodes.primary.kill)
        await nodes.promote()
        self.arena.moved()
        # The workers have not found it yet, or have just: what they commit first is not much.
        self.lost_records = committed - await position(self.arena)
        batches = await total(self.arena, "batches")
        while await total(self.arena, "batches") == batches:
            if time.monotonic() - died > _PATIENCE_SECONDS:
                raise PromiseBroken(f"no batch was committed on the standby within {_PATIENCE_SECONDS:g} s")
            await asyncio.sleep(_LOOK_SECONDS)
        self.takeover_seconds = time.monotonic() - died

    async def _something_to_lose(self, heard: int) -> None:
        """Another trouble may hold the stream up: then it takes longer until something is committed."""
        deadline = time.monotonic() + _PATIENCE_SECONDS / 3
        while await position(self.arena) == heard and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)

    async def heal(self) -> None:
        await self.arena.links.replication.heal()

    async def proof(self) -> str:
        timeline = await _timeline(self.arena)
        if timeline <= self._timeline:
            raise DidNotFire(f"the primary is still on timeline {timeline}")
        if self.tail_seconds and self.lost_records <= 0:
            raise DidNotFire("the standby lacked nothing")
        lost = f"{self.lost_records:,} records' commits lost" if self.lost_records > 0 else "nothing lost"
        return f"timeline {timeline}, {lost}, first batch after {self.takeover_seconds:.1f} s"


async def _timeline(arena: Arena) -> int:
    return int(await value(arena, "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int"))
