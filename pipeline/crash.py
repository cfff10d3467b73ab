"""For tests of the promises: a process that kills itself at a named point of its work, as a power cut would."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from pipeline.errors import SettingsRefused

POINTS: Final = (
    "fenced",
    "read",
    "events_written",
    "balances_written",
    "outbox_written",
    "lanes_advanced",
    "before_commit",
    "committed",
    "publishing",
    "published",
    "exported",
    "announced",
    "invalidated",
)
# Of `folio topics repartition`: before and after the database's commit, and after each topic.
GROWTH_POINTS: Final = ("lanes_locked", "lanes_grown", "topic_grown")
# Of `folio rebuild`: within a step before and after its writes, after its commit, and once where it stands is recorded.
REBUILD_POINTS: Final = ("rebuild_locked", "rebuild_written", "rebuild_committed", "rebuild_recorded")

# Of `folio partitions`: before and after the commit of each kind of step, and around an archive's taking its place.
PARTITION_POINTS: Final = (
    "month_making",
    "month_made",
    "versions_kept",
    "month_detaching",
    "month_detached",
    "rows_set_aside",
    "archive_written",
    "archive_in_place",
    "archive_recorded",
    "month_dropping",
    "month_dropped",
    "month_restoring",
    "month_restored",
)


# Of `folio check`: after a look, and once what it found is recorded. Of its repair: once corrections are sent, and
# once everything of a round is made right.
CHECK_POINTS: Final = ("check_looked", "check_recorded", "check_sent", "check_mended")


def crash_point(where: str | None) -> Callable[[str], None]:
    """What is told each point as it is reached: nothing, or the end of this process.

    `where` is a point, or `point:N` for the N-th time it is reached. Raises SettingsRefused for an unknown point.
    """
    if where is None:
        return _go_on
    point, _, times = where.partition(":")
    known = (*POINTS, *GROWTH_POINTS, *PARTITION_POINTS, *REBUILD_POINTS, *CHECK_POINTS)
    if point not in known or (times and not (times.isdecimal() and int(times) > 0)):
        raise SettingsRefused(f"FOLIO_WORKER_CRASH_AT={where!r} is refused: one of {', '.join(known)}, or POINT:N")
    remaining = int(times or 1)

    def crash(reached: str) -> None:
        nonlocal remaining
        if reached != point:
            return
        remaining -= 1
        if remaining == 0:
            # Past the buffers, and before the signal: the log is the proof that the point was reached.
            os.write(sys.stderr.fileno(), f"crash point reached: {point}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return crash


def _go_on(_point: str) -> None:
    return
