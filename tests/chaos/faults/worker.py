"""Faults of workers: killed anywhere or at a named point, stopped, told to go, joined by others."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.arena import CREW, LANES
from tests.chaos.faults.fault import Fault
from tests.chaos.looking import total
from tests.chaos.nodes import state_of
from tests.chaos.promises import DidNotFire
from tests.support.stream import WorkerProcess

_POINT_SECONDS_MAX = 45.0  # a predecessor's session may have to end first


@dataclass
class Killed(Fault):
    """SIGKILL at whatever moment it is, to so many workers at once; as many new ones come."""

    number: int
    _killed: Sequence[WorkerProcess] = field(init=False, default=())

    async def strike(self) -> None:
        self._killed = self.arena.crew.members[: self.number]
        for worker in self._killed:
            self.arena.crew.kill(worker)

    async def heal(self) -> None:
        for _ in self._killed:
            self.arena.crew.start()

    async def proof(self) -> str:
        codes = [worker.exit_code for worker in self._killed]
        if codes != [-signal.SIGKILL] * self.number:
            raise DidNotFire(f"the workers ended with {codes}")
        return f"{self.number} killed"


@dataclass
class KilledAtPoint(Fault):
    """A worker takes another's place, and kills itself when it comes to a named point for the n-th time."""

    point: str
    times: int
    _worker: WorkerProcess | None = field(init=False, default=None)

    async def strike(self) -> None:
        await self.arena.crew.leave(self.arena.crew.members[0])
        self._worker = self.arena.crew.start(WORKER_CRASH_AT=f"{self.point}:{self.times}")
        self.arena.crew.bury(self._worker)

    async def last(self) -> None:
        assert self._worker is not None
        try:
            await self._worker.wait(_POINT_SECONDS_MAX)
        except AssertionError as error:
            raise DidNotFire(f"{self.point} was not reached {self.times} times: {str(error)[-1_000:]}") from error

    async def heal(self) -> None:
        self.arena.crew.start()

    async def proof(self) -> str:
        assert self._worker is not None
        if f"crash point reached: {self.point}" not in self._worker.log:
            raise DidNotFire(f"the worker ended with {self._worker.exit_code} elsewhere than at {self.point}")
        return f"killed itself at {self.point}, time {self.times}"


@dataclass
class Stopped(Fault):
    """SIGSTOP, and SIGCONT later: a zombie where that is past its session, a blocked loop where it is not."""

    past_the_session: bool
    _worker: WorkerProcess | None = field(init=False, default=None)
    _state: str = field(init=False, default="")
    _epochs: int = field(init=False, default=0)

    async def prepare(self) -> None:
        self._epochs = await total(self.arena, "owner_epoch")

    async def strike(self) -> None:
        self._worker = self.arena.crew.members[0]
        self._worker.signal(signal.SIGSTOP)

    async def heal(self) -> None:
        assert self._worker is not None
        self._state = state_of(self._worker.pid)
        self._worker.signal(signal.SIGCONT)

    async def proof(self) -> str:
        if self._state != "T":
            raise DidNotFire(f"the worker was in state {self._state!r}, not stopped")
        claims = await total(self.arena, "owner_epoch") - self._epochs
        if self.past_the_session and not claims:
            raise DidNotFire("nobody claimed the lanes of the stopped worker")
        return f"stopped for {self.hold_seconds:.1f} s, {claims} claims since"


@dataclass
class ToldToStop(Fault):
    """SIGTERM under load: the end is orderly, or the crew complains. Another one comes."""

    async def strike(self) -> None:
        await self.arena.crew.leave(self.arena.crew.members[0])

    async def heal(self) -> None:
        self.arena.crew.start()

    async def proof(self) -> str:
        return "ended in order"


@dataclass
class Rebalanced(Fault):
    """One more joins, and goes again, so many times; every other one is killed instead of told."""

    times: int
    _epochs: int = field(init=False, default=0)
    _joined: list[WorkerProcess] = field(init=False, default_factory=list)

    async def prepare(self) -> None:
        self._epochs = await total(self.arena, "owner_epoch")

    async def strike(self) -> None:
        self._joined.append(await self.arena.crew.join())

    async def last(self) -> None:
        for time in range(1, self.times + 1):
            await asyncio.sleep(self.hold_seconds / self.times)
            if time % 2:
                await self.arena.crew.leave(self._joined[-1])
            else:
                self.arena.crew.kill(self._joined[-1])
            if time < self.times:
                self._joined.append(await self.arena.crew.join())

    async def proof(self) -> str:
        claims = await total(self.arena, "owner_epoch") - self._epochs
        if claims < self.times * LANES:  # each who joins moves all of them
            raise DidNotFire(f"{len(self._joined)} workers joined, and lanes were claimed only {claims} times")
        return f"{self.times} joined {CREW} and left, {claims} claims"
