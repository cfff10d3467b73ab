"""An event loop whose time is virtual: it passes when nothing is left to do, and then at once."""

import asyncio
import itertools
from collections.abc import Coroutine, Generator
from typing import Any

# Not zero: code that takes "never" for 0.0 must not be right by accident.
_BEGINNING_SECONDS = 1_000.0


class NothingLeftError(Exception):
    """Every task waits, and no timer runs: without this, the run would wait for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks and timers of one thread. There is no I/O to wait for: where the real loop would sleep, time jumps.

    Callbacks that are due run in the order in which they became so, as asyncio promises. What differs from run to run
    is drawn elsewhere: how long each call to a server takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = _BEGINNING_SECONDS
        self._selector = self  # what BaseEventLoop waits by
        self._clock_resolution = 1e-6
        self._numbers = itertools.count()
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._now

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._now - _BEGINNING_SECONDS

    def select(self, timeout: float | None) -> list[Any]:
        """Let the time pass that the loop would have slept for. Raises NothingLeftError where it would for ever."""
        if timeout is None:
            raise NothingLeftError("every task waits, and no timer runs")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Nobody wakes this loop from another thread."""

    def _new_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> "_Task":
        return _Task(next(self._numbers), coroutine, loop=loop, **options)


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address: asyncio cancels members of sets in order."""

    def __init__(self, number: int, *args: Any, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number
