"""An event loop whose time is virtual: it passes when nothing is left to do, and then at once."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, TypeVarTuple

_Ts = TypeVarTuple("_Ts")

# Not zero: code that takes "never" for 0.0 must not be right by accident.
_BEGINNING_SECONDS = 1_000.0
_RESOLUTION_SECONDS = 1e-6  # timers that are due within it are due at once, as in asyncio


class NothingLeftError(Exception):
    """Every task waits, and no timer runs: without this, the run would wait for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks and timers of one thread. There is no I/O to wait for: where the real loop would sleep, time jumps.

    Callbacks that are due run in the order in which they became so, as asyncio promises. What differs from run to run
    is drawn elsewhere: how long each call to a server takes.
    """

    # BaseEventLoop's own, of which its types do not tell.
    _ready: deque[asyncio.Handle]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = _BEGINNING_SECONDS
        # Beside the number of its making no timer is ever compared with another, which was a tenth of a run.
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_numbers = itertools.count()
        self._task_numbers = itertools.count()
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._now

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._now - _BEGINNING_SECONDS

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._timer_numbers), timer))
        return timer

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        """It is left out when its time comes."""

    def _run_once(self) -> None:
        """What is ready now, once around; before that, time passes to the next timer where nothing is."""
        ready, timers = self._ready, self._timers
        if not ready and not self._stopping:
            self._pass_time()
        due = self._now + _RESOLUTION_SECONDS
        while timers and timers[0][0] < due:
            timer = heappop(timers)[2]
            if not timer.cancelled():
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _pass_time(self) -> None:
        """To the next timer that somebody waits for. Raises NothingLeftError where there is none."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not timers:
            raise NothingLeftError("every task waits, and no timer runs")
        self._now = max(self._now, timers[0][0])

    def _write_to_self(self) -> None:
        """Nobody wakes this loop from another thread."""

    def _new_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> "_Task":
        return _Task(next(self._task_numbers), coroutine, loop=loop, **options)


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address: asyncio cancels members of sets in order."""

    def __init__(self, number: int, *args: Any, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number
