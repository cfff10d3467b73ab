"""A connection of whoever looks again and again: opened when it is needed, and anew after anything went wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Held(Generic[T]):
    """One connection of one user at a time."""

    def __init__(self, connect: Callable[[], Awaitable[T]], give_up: Callable[[T], Awaitable[None]]) -> None:
        self._connect = connect
        self._give_up = give_up
        self._connection: T | None = None

    async def use(self, work: Callable[[T], Awaitable[R]], seconds_max: float) -> R:
        """What `work` returns. Raises what it raises, and TimeoutError; the connection is then given up.

        What was asked on it may still be answered, so that nobody can ask anything else there.
        """
        try:
            async with asyncio.timeout(seconds_max):
                if self._connection is None:
                    self._connection = await self._connect()
                return await work(self._connection)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._give_up(connection)
