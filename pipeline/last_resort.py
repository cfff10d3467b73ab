"""What ends a process that should end and does not: whatever hangs in it, its lanes are another's to take."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any, Final

import structlog

from pipeline.errors import Fatal
from pipeline.exits import EXIT_CANNOT, EXIT_FATAL
from pipeline.masking import masked

_DEPTH_MAX: Final = 50  # coroutines of one task: what is deeper tells no more
_TELL_SECONDS_MAX: Final = 1.0

log = structlog.get_logger()


class LastResort:
    """A bound on a shutdown that does not depend on what is shut down.

    Cancelling a task asks it to end. A library may lose that (asyncio.wait_for of Python 3.11 does, when what it waits
    for is done at that very moment), and asyncio.TaskGroup then waits for it for ever, deaf to being cancelled again.
    A loop that is blocked hears no order to stop, and does not arm this: /livez tells of it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: threading.Timer | None = None
        self._reason: Exception | None = None

    def arm(self, seconds: float, reason: Exception | None = None) -> None:
        """End the process in so many seconds, unless it has ended by then, for this reason where there is one.

        Nothing is lost: positions are in the database, and what was committed is in the outbox. Arming it again does
        not prolong the time.
        """
        self._reason = self._reason or reason
        if self._timer is None:
            self._timer = threading.Timer(seconds, self._end)
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        try:
            telling = threading.Thread(target=self._tell, daemon=True)
            telling.start()
            telling.join(_TELL_SECONDS_MAX)  # whoever reads the log may be gone, or hang as well
        finally:
            os._exit(EXIT_FATAL if isinstance(self._reason, Fatal) else EXIT_CANNOT)

    def _tell(self) -> None:
        tasks = [f"{task.get_name()} at {waiting_at(task)}" for task in asyncio.all_tasks(self._loop)]
        log.error(
            "the worker does not end, ending it; this is a bug, please report the tasks",
            tasks=sorted(tasks),
            reason=masked(str(self._reason or "it was told to stop")),
        )


def waiting_at(task: "asyncio.Task[Any]") -> str:
    """Where a task waits: the chain of coroutines from the outermost to the innermost, each with its file and line."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(places) < _DEPTH_MAX:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return " > ".join(places)
