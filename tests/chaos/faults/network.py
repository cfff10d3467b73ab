"""Faults of the network between workers and a server, and at its messages: COMMIT, and what producers send."""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from tests.chaos.faults.fault import Fault
from tests.chaos.link import Counts, Link
from tests.chaos.promises import DidNotFire

ServerName = Literal["database", "broker", "cache"]
_CONNECTED_SECONDS_MAX = 30.0
_CUT_SECONDS_MAX = 20.0  # under load there is a COMMIT several times a second


@dataclass
class OnALink(Fault):
    """A trouble of one link. Its counts tell whom it struck."""

    counted: ClassVar[str]
    what: ClassVar[str]
    server: ServerName
    _before: Counts = field(init=False, default_factory=Counts)

    async def strike(self) -> None:
        link = self.link()
        self._before = replace(link.counts)
        deadline = time.monotonic() + _CONNECTED_SECONDS_MAX
        while not link.live and time.monotonic() < deadline:
            await asyncio.sleep(0.05)  # the other fault of a pair may have killed whoever was connected
        self.trouble(link)

    async def felt(self, seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        while not self._struck() and time.monotonic() < deadline:
            await asyncio.sleep(0.1)

    async def heal(self) -> None:
        await self.link().heal()

    async def proof(self) -> str:
        if not self._struck():
            raise DidNotFire(f"no traffic met it: no {self.what}")
        return f"{self._struck():,} {self.what}"

    def _struck(self) -> int:
        return int(getattr(self.link().counts, self.counted) - getattr(self._before, self.counted))

    def link(self) -> Link:
        link: Link = getattr(self.arena.links, self.server)
        return link

    @abstractmethod
    def trouble(self, link: Link) -> None: ...


@dataclass
class Down(OnALink):
    """Every connection is reset, and new ones are refused."""

    counted: ClassVar[str] = "reset"
    what: ClassVar[str] = "connections reset"

    def trouble(self, link: Link) -> None:
        link.down()


@dataclass
class Resets(OnALink):
    """Every connection is reset, again and again; new ones pass."""

    counted: ClassVar[str] = "reset"
    what: ClassVar[str] = "connections reset"
    pause_seconds: float = 0.5

    async def last(self) -> None:
        until = time.monotonic() + self.hold_seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.pause_seconds)
            self.link().reset()

    def trouble(self, link: Link) -> None:
        link.reset()


@dataclass
class Held(OnALink):
    """Nothing passes; all of it arrives later."""

    counted: ClassVar[str] = "held"
    what: ClassVar[str] = "pieces held"

    def trouble(self, link: Link) -> None:
        link.hold()


@dataclass
class HalfOpen(OnALink):
    """The present connections are dead, and nobody is told; new ones pass."""

    counted: ClassVar[str] = "swallowed_bytes"
    what: ClassVar[str] = "bytes swallowed"

    def trouble(self, link: Link) -> None:
        link.silence()


@dataclass
class AnswersLost(OnALink):
    """The server hears all, and what it answers on the present connections is lost."""

    counted: ClassVar[str] = "swallowed_bytes"
    what: ClassVar[str] = "bytes of answers swallowed"

    def trouble(self, link: Link) -> None:
        link.silence({"to_client"})


@dataclass
class BlackHole(OnALink):
    """Connections are taken, and nobody ever answers."""

    counted: ClassVar[str] = "swallowed_bytes"
    what: ClassVar[str] = "bytes swallowed"

    def trouble(self, link: Link) -> None:
        link.swallow_everything()


@dataclass
class Slow(OnALink):
    """Every piece takes its time."""

    counted: ClassVar[str] = "delayed"
    what: ClassVar[str] = "pieces delayed"
    delay_seconds: float = 0.2

    def trouble(self, link: Link) -> None:
        link.slow(self.delay_seconds)


@dataclass
class Cut(OnALink):
    """A connection ends around a message of the workers: before the server has it, or before its answer is back."""

    counted: ClassVar[str] = "cuts"
    what: ClassVar[str] = "connections cut there"
    before: bool = False
    times: int = 1
    matches: Callable[[bytes], bool] = bool

    async def last(self) -> None:
        until = time.monotonic() + _CUT_SECONDS_MAX
        while self.link().counts.cuts < self._before.cuts + self.times and time.monotonic() < until:
            await asyncio.sleep(0.05)

    def trouble(self, link: Link) -> None:
        (link.cut_before if self.before else link.cut_after)(self.matches, self.times)


def is_commit(request: bytes) -> bool:
    """Of the books, or of their marks: the driver's own transactions say `COMMIT;`."""
    return b"COMMIT\x00" in request


def is_produce(request: bytes) -> bool:
    """A request to Kafka begins with its size and its number; that of Produce is 0."""
    return request[4:6] == b"\x00\x00"
