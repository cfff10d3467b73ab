"""The way to a part that may be away (PostgreSQL, Redis, Kafka), as far as we know it: pipeline.app hands it in.

A gate may refuse a call (NotAsked). Whoever is patient with a part is patient with its gate: see `pause_after`.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from pipeline.errors import CircuitOpen, NotAsked

T = TypeVar("T")


class Gate(Protocol):
    """Raises NotAsked where the part is not called, else what the work raises."""

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns; it may be called several times."""
        ...

    async def call_once(self, work: Callable[[], Awaitable[T]]) -> T:
        """The same, called once at most: for work that must not run twice, and for who has a patience of their own."""
        ...


def pause_after(refusal: NotAsked) -> float | bool:
    """How long to wait before the gate is asked again, as stamina takes it: seconds, or True for its growing pause.

    Meeting a shut gate says nothing new of the part. With the growing pause for it, work that was refused for a
    moment, because somebody else was looking, would begin again seconds after theirs.
    """
    return refusal.seconds if isinstance(refusal, CircuitOpen) else True
