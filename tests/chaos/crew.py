"""The workers of an arena: real `folio run` processes that come, go, and are made to go."""

import asyncio
import signal
from typing import Final

from tests.chaos.guard import workers_of
from tests.chaos.promises import PromiseBroken
from tests.support.stream import Stream, WorkerProcess

# A start costs a second of a core, a claim may wait for a dead member's session (6 s) and for a locked lane.
CLAIMED_SECONDS_MAX: Final = 60.0
_STOP_SECONDS_MAX: Final = 40.0


class Crew:
    """Those who should be at work. Whoever ends without having been told to has broken a promise."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._past: list[WorkerProcess] = []
        self.members: list[WorkerProcess] = []

    async def join(self, **overrides: str) -> WorkerProcess:
        """Start one more, and return when it has claimed what the group gives it."""
        worker = self.start(**overrides)
        await _claimed(worker)
        return worker

    async def all_claimed(self) -> None:
        """Wait until every member has claimed lanes at least once. Raises PromiseBroken."""
        for worker in self.members:
            await _claimed(worker)

    def start(self, **overrides: str) -> WorkerProcess:
        """Start one more, and do not wait for it."""
        worker = self._stream.worker(**overrides)
        worker.__enter__()
        self.members.append(worker)
        return worker

    async def leave(self, worker: WorkerProcess) -> None:
        """SIGTERM; it must end in order."""
        self.members.remove(worker)
        self._past.append(worker)
        try:
            code = await worker.stop(_STOP_SECONDS_MAX)
        except AssertionError as error:
            worker.__exit__()
            raise PromiseBroken(f"SIGTERM did not end a worker: {str(error)[-2_000:]}") from error
        if code != 0:
            raise PromiseBroken(f"a worker that was told to stop ended with {code}:\n{worker.log[-2_000:]}")

    def kill(self, worker: WorkerProcess) -> None:
        """SIGKILL."""
        self.bury(worker)
        worker.__exit__()

    def bury(self, worker: WorkerProcess) -> None:
        """It is dead, or about to be: that is no surprise any more."""
        self.members.remove(worker)
        self._past.append(worker)

    async def leave_all(self) -> None:
        """Everyone, in order."""
        await asyncio.gather(*(self.leave(worker) for worker in tuple(self.members)))

    def abandon(self) -> None:
        """Kill whoever is left, whatever it does."""
        for worker in (*self.members, *self._past):
            if worker.started:
                worker.signal(signal.SIGCONT)
                worker.__exit__()
        self.members.clear()

    def told(self, text: str) -> int:
        """How often the logs of all workers, past ones too, hold a text."""
        return sum(worker.log.count(text) for worker in (*self.members, *self._past))

    def check(self) -> None:
        """Raises PromiseBroken when a member has ended by itself, or a process is there that nobody counts on."""
        for worker in self.members:
            if (code := worker.exit_code) is not None:
                raise PromiseBroken(f"a worker ended by itself, with {code}:\n{worker.log[-3_000:]}")
        expected = sorted(worker.pid for worker in self.members)
        found = workers_of(self._stream.folder)
        if found != expected:
            raise PromiseBroken(f"worker processes {found}, where there should be {expected}")


async def _claimed(worker: WorkerProcess) -> None:
    try:
        await worker.wait_for_log("lanes claimed", CLAIMED_SECONDS_MAX)
    except AssertionError as error:
        raise PromiseBroken(f"a worker claimed no lanes: {str(error)[-2_000:]}") from error
