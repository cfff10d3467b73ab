"""CPU, charged to the stage that is at work; and that of another process, to the nanosecond."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

ELSEWHERE: Final = "elsewhere"  # of the measured process, outside of every stage


@dataclass(slots=True)
class StageClock:
    """Charges the CPU of this process to the innermost stage. Right only while the process does one thing at a time."""

    now: Callable[[], float] = time.process_time
    spent: dict[str, float] = field(default_factory=dict)
    _stack: list[str] = field(default_factory=lambda: [ELSEWHERE])
    _since: float = 0.0

    def start(self) -> None:
        """Forget what was spent so far."""
        self.spent.clear()
        self._since = self.now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is spent in the block, without the stages within it, is this stage's."""
        self.charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self.charge()
            self._stack.pop()

    def charge(self) -> None:
        """Charge what was spent since the last time."""
        now = self.now()
        self.spent[self._stack[-1]] = self.spent.get(self._stack[-1], 0.0) + now - self._since
        self._since = now


def cpu_seconds(pid: int) -> float:
    """All threads of a process, by its own CPU clock: /proc counts in ticks of 10 ms, and a statement takes fewer.

    The number of a process' clock is made as clock_getcpuclockid(3) does.
    """
    return time.clock_gettime((~pid << 3) | 2)
