"""Faults of the broker and of the cache, which are one process each: killed, restarted, stalled, emptied."""

import asyncio
from dataclasses import dataclass, field

from redis.asyncio import Redis

from pipeline.stack.process import Process
from tests.chaos.faults.fault import Fault
from tests.chaos.nodes import state_of
from tests.chaos.promises import DidNotFire
from tests.chaos.servers import Server


@dataclass
class ServerFault(Fault):
    """Strikes the broker or the cache: each is one process."""

    name: str

    def server(self) -> Server:
        return {"broker": self.arena.broker, "cache": self.arena.cache}[self.name]


@dataclass
class Restarted(ServerFault):
    """Down for a while: killed, or told to stop. The cache comes back empty."""

    kindly: bool
    _was: Process | None = field(init=False, default=None)

    async def strike(self) -> None:
        server = self.server()
        self._was = server.process
        await asyncio.to_thread(server.stop if self.kindly else server.kill)

    async def heal(self) -> None:
        await asyncio.to_thread(self.server().start)

    async def proof(self) -> str:
        if self.server().process == self._was:
            raise DidNotFire("the same process still runs")
        return f"away for {self.hold_seconds:.1f} s and its start"


@dataclass
class Stalled(ServerFault):
    """SIGSTOP, and SIGCONT later."""

    _state: str = field(init=False, default="")

    async def strike(self) -> None:
        self.server().freeze()

    async def heal(self) -> None:
        server = self.server()
        self._state = state_of(server.process.pid)
        server.thaw()

    async def proof(self) -> str:
        if self._state != "T":
            raise DidNotFire(f"the server was in state {self._state!r}, not stopped")
        return f"stopped for {self.hold_seconds:.1f} s"


@dataclass
class Flushed(Fault):
    """The cache loses every key, so many times."""

    times: int
    _keys: int = field(init=False, default=0)

    async def strike(self) -> None:
        client = Redis.from_url(self.arena.cache.address)
        try:
            for _ in range(self.times):
                self._keys += await client.dbsize()
                await client.flushall()
                await asyncio.sleep(self.hold_seconds / self.times)
        finally:
            await client.aclose()

    async def last(self) -> None:
        """It has already lasted."""

    async def proof(self) -> str:
        if not self._keys:
            raise DidNotFire("the cache held nothing")
        return f"{self._keys:,} keys lost in {self.times} flushes"
