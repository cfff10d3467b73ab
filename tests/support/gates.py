"""A gate that lets everything through, for parts that are tested without a guard."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class OpenGate:
    """Calls, and nothing else."""

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        return await work()

    call_once = call
