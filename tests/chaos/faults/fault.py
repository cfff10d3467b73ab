"""What every fault is: it prepares while all is calm, strikes, lasts, is healed, and shows that it fired."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from tests.chaos.arena import Arena


@dataclass
class Fault(ABC):
    """One trouble, drawn by a seed. It enters an arena and strikes there, once."""

    hold_seconds: float
    _arena: Arena | None = field(init=False, default=None, repr=False)

    @property
    def arena(self) -> Arena:
        """Where it strikes."""
        assert self._arena is not None, "it has entered no arena"
        return self._arena

    def enter(self, arena: Arena) -> None:
        """From now on this is what it can reach."""
        self._arena = arena

    async def prepare(self) -> None:  # noqa: B027  # most need nothing
        """Look at how things are before, and make what the trouble needs. Nothing is troubled yet."""

    @abstractmethod
    async def strike(self) -> None:
        """Let it happen."""

    async def last(self) -> None:
        """What goes on until it is healed."""
        await asyncio.sleep(self.hold_seconds)

    async def felt(self, _seconds_max: float) -> None:  # noqa: B027  # most are, as soon as they strike
        """Wait until it has struck somebody, where that takes traffic."""

    async def heal(self) -> None:  # noqa: B027  # some pass by themselves
        """Make whole what it broke. From then on everything has to recover by itself."""

    @abstractmethod
    async def proof(self) -> str:
        """What shows that it struck somebody, in a few words; asked when all is calm again. Raises DidNotFire."""
