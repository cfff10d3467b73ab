"""CPU seconds and memory by part, from /proc: workers, broker, database, cache, generator, and everybody else.

The CPU of a process tree is what its members used so far and what they collected from children that ended. It never
falls, whichever backend comes and goes, as long as the root of the tree lives. `other` is what the machine was busy
with beside the parts: on a shared machine it says how far the figures can be trusted.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Final, Literal

PartName = Literal["workers", "broker", "database", "cache", "generator"]
PARTS: Final[tuple[PartName, ...]] = ("workers", "broker", "database", "cache", "generator")
OTHER: Final = "other"
HARNESS: Final = "harness"  # the benchmark's own process, which looks and counts
_TICK: Final = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS: Final = 1.0  # walking all processes takes milliseconds, and peaks are the kernel's own
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds by part at one moment, and those that the whole machine was busy or was kept waiting (stolen)."""

    cpu: Mapping[str, float]
    machine_busy: float
    machine_stolen: float

    def since(self, before: "Reading") -> dict[str, float]:
        """CPU seconds by part between two readings; `other` is the machine's without the parts'."""
        spent = {part: cpu - before.cpu.get(part, 0.0) for part, cpu in self.cpu.items()}
        return spent | {OTHER: max(self.machine_busy - before.machine_busy - sum(spent.values()), 0.0)}


@dataclass(slots=True)
class Accountant:
    """Reads the parts by the roots of their process trees. A part without a root (an external server) is not read."""

    roots: dict[str, tuple[int, ...]]
    peaks_mib: dict[str, float] = field(default_factory=dict)

    def read(self) -> Reading:
        """CPU seconds of every part now."""
        trees = _children()
        cpu: dict[str, float] = {}
        for part, roots in self.roots.items():
            cpu[part] = sum(_cpu_seconds(pid) for pid in _tree(roots, trees))
        cpu[HARNESS] = time.process_time()
        return Reading(cpu, *_machine())

    def look(self) -> None:
        """Remember the most memory of any one process of each part (of the database: of all together, unshared)."""
        trees = _children()
        for part, roots in self.roots.items():
            pids = _tree(roots, trees)
            # Backends share their buffers, and all of them together are the database.
            own = [_memory_mib(pid, "RssAnon" if part == "database" else "VmHWM") for pid in pids]
            now = sum(own) if part == "database" else max(own, default=0.0)
            self.peaks_mib[part] = max(self.peaks_mib.get(part, 0.0), now)


class Watch:
    """Looks at the memory of the parts every second, for as long as the block lasts."""

    def __init__(self, accountant: Accountant) -> None:
        self._accountant = accountant
        self._done = Event()
        self._thread = Thread(target=self._look, name="memory", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()
        self._accountant.look()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self._accountant.look()


def _children() -> dict[int, list[int]]:
    """By process, the processes that it has started and that live."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def _tree(roots: Iterable[int], children: Mapping[int, list[int]]) -> list[int]:
    pids = list(roots)
    for pid in pids:  # grows while it is walked
        pids += children.get(pid, [])
    return pids


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    # utime, stime, and both of the children that were waited for.
    return sum(int(ticks) for ticks in fields[11:15]) / _TICK if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields from the state on; none of a process that is gone."""
    try:
        # The command's name may hold spaces and brackets; the fields follow its last bracket.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _memory_mib(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / _KIB for line in lines if line.startswith(f"{name}:")), 0.0)


def _machine() -> tuple[float, float]:
    """CPU seconds of all cores: busy, and stolen by other guests of the host."""
    fields = [int(ticks) / _TICK for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal
