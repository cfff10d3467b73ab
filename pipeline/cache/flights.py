"""Single flight: who asks for what somebody is already fetching waits for that instead of fetching it again."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from pipeline.errors import Transient

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Flight(Generic[T]):
    """One fetch, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: "asyncio.Task[T]") -> None:
        self.task = task
        self.waiting = 0


class Flights(Generic[K, T]):
    """The fetches under way. Each is a task of its own, so that no caller's cancellation takes the others down.

    It ends with the last that waits for it: nobody is left who wants it, and the database has other things to do. One
    that was begun for nobody goes on. What is raised reaches all that wait, and is forgotten with the flight.
    """

    def __init__(self, joined: Callable[[], None]) -> None:
        self._joined = joined
        self._boarding: dict[K, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()
        self._closing = False

    async def fetch(self, key: K, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `start` returns, of this call or of an earlier one that has not ended."""
        flight = self._boarding.get(key)
        if flight is None:
            flight = self._depart(key, start)
        else:
            self._joined()
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if self._closing and not _told_to_stop():
                raise Transient("reads of cached balances are closed") from None
            raise
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                self._leave(key, flight)
                flight.task.cancel()

    def begin(self, key: K, start: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Task[T] | None":
        """The same with nobody who waits. None, and nothing begins: it is under way already, or all is closed."""
        if key in self._boarding or self._closing:
            return None
        return self._depart(key, start).task

    def close_boarding(self, key: K) -> None:
        """Whoever asks from now on fetches anew; who waits already gets what is under way."""
        self._boarding.pop(key, None)

    def close_all_boarding(self) -> None:
        self._boarding.clear()

    async def aclose(self) -> None:
        """End what is under way, and wait until it has."""
        self._closing = True
        self._boarding.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _depart(self, key: K, start: Callable[[], Coroutine[Any, Any, T]]) -> _Flight[T]:
        if self._closing:
            raise Transient("reads of cached balances are closed")
        flight = _Flight(asyncio.create_task(start()))
        self._boarding[key] = flight
        self._tasks.add(flight.task)  # the loop itself holds tasks weakly
        flight.task.add_done_callback(partial(self._landed, key, flight))
        return flight

    def _landed(self, key: K, flight: _Flight[T], task: "asyncio.Task[T]") -> None:
        self._leave(key, flight)
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, also where the last that waited went in the same moment

    def _leave(self, key: K, flight: _Flight[T]) -> None:
        if self._boarding.get(key) is flight:
            del self._boarding[key]


def _told_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
