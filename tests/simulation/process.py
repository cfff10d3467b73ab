"""A worker's process, as far as servers see it: its calls take time, get lost on either way, stop with it.

Nothing that a worker does reaches a server but by `call`. So a killed worker is one whose calls never return: it runs
on to its next await, and is not heard of again; what it had sent, a server may still do.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

# Of one way between two processes. A fast network, a disk that syncs, and now and then a hiccup.
_USUAL_SECONDS: Final = (0.0002, 0.004)
_HICCUP_SECONDS: Final = (0.02, 0.2)
_HICCUP_SHARE: Final = 0.005
_LOST_SHARE: Final = 0.15  # of one way, while there is a storm
_LATE_SHARE: Final = 0.25
_SILENCE_SECONDS: Final = (0.0, 0.0, 0.0, 0.5, 3.0, 13.0)


class Killed(BaseException):
    """The process ends here, as by SIGKILL: raised where it reaches a point at which it was to be killed."""


class Peer(Protocol):
    """A server, as far as the way to it goes wrong."""

    def lost(self) -> Exception:
        """What its client raises for an answer that never came."""
        ...

    def refuses(self, name: str) -> Exception | None:
        """What its client raises at once: the server is down, or does not serve this."""
        ...

    @property
    def stalled_until(self) -> float:
        """Until when it lets everybody wait, by the loop's clock."""
        ...


class Outages:
    """What a server cannot do for a while; of several at once, until the last is over."""

    def __init__(self) -> None:
        self._active: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def outage(self, name: str) -> AsyncIterator[None]:
        """Within the block the server is `name`."""
        self._active[name] += 1
        try:
            yield
        finally:
            self._active[name] -= 1

    def suffers(self, name: str) -> bool:
        return self._active[name] > 0


@dataclass
class Weather:
    """How long each way takes, and what is lost on it."""

    chance: Random
    lost: int = 0  # how many were
    _storms: int = 0

    @contextlib.asynccontextmanager
    async def storm(self) -> AsyncIterator[None]:
        """Within the block every way loses some of what goes by it; of several at once, until the last is over."""
        self._storms += 1
        try:
            yield
        finally:
            self._storms -= 1

    def loses(self) -> bool:
        """Whether this one is lost."""
        struck = self._storms > 0 and self.chance.random() < _LOST_SHARE
        self.lost += struck
        return struck

    def silence_seconds(self) -> float:
        """How long it takes until a client gives up on an answer: a reset at once, silence as long as its bound."""
        return self.chance.choice(_SILENCE_SECONDS)

    def answers_late(self) -> bool:
        """Whether something else can happen between what a server does and its client's hearing of it."""
        return self.chance.random() < _LATE_SHARE

    def way_seconds(self) -> float:
        """How long one way takes."""
        hiccup = self.chance.random() < _HICCUP_SHARE
        return self.chance.uniform(*(_HICCUP_SECONDS if hiccup else _USUAL_SECONDS))


def _nothing(_what: str) -> None:
    return


@dataclass
class Process:
    """One life of a worker."""

    name: str
    weather: Weather
    tell: Callable[[str], None]  # what people read
    note: Callable[[str], None] = _nothing  # each call that a server acts on: what makes two runs the same
    skew_seconds: float = 0.0
    dead: bool = False
    buried: bool = False  # the run is over: what is left of it may end
    kill_at: tuple[str, int] | None = None  # a named point, and the how manieth time from now on
    lose_answers: dict[str, int] = field(default_factory=dict)  # by call: how many answers will be lost
    on_reached: Callable[[], None] | None = None  # when that point is reached
    on_death: list[Callable[[], None]] = field(default_factory=list)
    _thawed: asyncio.Event | None = None
    # Held here: what nobody holds is collected, and whoever waits for it ends in the middle of the run.
    _never: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self) -> None:
        """End it. Servers notice that its connections are gone."""
        if not self.dead:
            self.dead = True
            self.tell(f"{self.name} killed")
            for notice in self.on_death:
                notice()

    def freeze(self) -> None:
        """As by SIGSTOP: connections stay, and nothing comes by them."""
        if self._thawed is None:
            self._thawed = asyncio.Event()
            self.tell(f"{self.name} frozen")

    def thaw(self) -> None:
        """As by SIGCONT."""
        if self._thawed is not None:
            self._thawed.set()
            self._thawed = None
            self.tell(f"{self.name} goes on")

    async def running(self) -> None:
        """Return when the process runs: at once, when it is thawed, or never. Raises Killed when the run is over."""
        while self._thawed is not None and not self.dead:
            await self._thawed.wait()
        if self.buried:
            raise Killed
        if self.dead:
            await self._never.wait()

    async def call(self, peer: Peer, name: str, act: Callable[[], Awaitable[T]]) -> T:
        """Ask a server for something. What fails, fails before the server acted or after it, and cannot tell which."""
        await self.running()
        await self._way(peer, name)
        if self.weather.loses():
            self.tell(f"{self.name} {name}: lost on the way there")
            await asyncio.sleep(self.weather.silence_seconds())
            raise peer.lost()
        refusal = peer.refuses(name)
        if refusal is not None:
            raise refusal
        self.note(f"{self.name} {name}")
        answer = await act()
        if self.weather.answers_late():
            await asyncio.sleep(self.weather.way_seconds())
        await self.running()
        if self._answer_is_lost(name):
            self.tell(f"{self.name} {name}: done, and the answer lost")
            await asyncio.sleep(self.weather.silence_seconds())
            raise peer.lost()
        return answer

    def reach(self, point: str) -> None:
        """Told each named point of a batch as it is reached. Raises Killed where the process was to end."""
        if self.kill_at is not None and self.kill_at[0] == point:
            self.kill_at = (point, self.kill_at[1] - 1)
            if self.kill_at[1] == 0:
                self.tell(f"{self.name} reached {point}")
                if self.on_reached is not None:
                    self.on_reached()
                self.kill()
        if self.dead:
            raise Killed

    async def _way(self, peer: Peer, name: str) -> None:
        await asyncio.sleep(self.weather.way_seconds())
        loop = asyncio.get_running_loop()
        while peer.stalled_until > loop.time():
            refusal = peer.refuses(name)
            if refusal is not None:
                raise refusal
            await asyncio.sleep(peer.stalled_until - loop.time())

    def _answer_is_lost(self, name: str) -> bool:
        if self.lose_answers.get(name, 0) > 0:
            self.lose_answers[name] -= 1
            return True
        return self.weather.loses()


@dataclass
class ProcessClock:
    """The clocks that a process reads: its wall clock may be wrong, and step."""

    loop: asyncio.AbstractEventLoop
    process: Process
    beginning: datetime  # of the run, true

    def now(self) -> datetime:
        return self.beginning + timedelta(seconds=self.loop.time() + self.process.skew_seconds)

    def monotonic(self) -> float:
        return self.loop.time()
