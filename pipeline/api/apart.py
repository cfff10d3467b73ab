"""Work that would hold up everybody else on the loop, in a thread and on a loop of its own."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pipeline.loop import run_on_loop

T = TypeVar("T")


async def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns or raises. Cancelled, it is cancelled there, and waited for: a thread outlives nobody."""
    inner = _Inner(work)
    outer = asyncio.ensure_future(asyncio.to_thread(lambda: run_on_loop(inner.run())))
    try:
        return await asyncio.shield(outer)
    except asyncio.CancelledError:
        inner.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):  # whoever wanted to know has gone
            await outer
        raise


class _Inner:
    """The task in the thread. Cancelled by another one, which may come before it has begun."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    async def run(self) -> Any:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if self._cancelled:
            raise asyncio.CancelledError
        return await self._work()

    def cancel(self) -> None:
        self._cancelled = True
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile: it is done
                self._loop.call_soon_threadsafe(self._task.cancel)
