"""Temporary files in memory, where there is room.

Databases of some 670 files come and go by hundreds. On a disk, making and removing those files was a tenth of all that
the tests cost; and nothing that a test asserts depends on it, for no test takes the power away.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # the one place of which a Linux says that it is memory
_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
_BYTES_MIN: Final = 4 << 30  # four times what a whole run has there at most


def keep_temporary_files_in_memory() -> None:
    """For this process and those that it starts, unless TMPDIR says where they belong."""
    if "TMPDIR" not in os.environ and _is_roomy():
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def _is_roomy() -> bool:
    """Whether enough is free, of the place and of the memory behind it, and programs may run there."""
    try:
        place = os.statvfs(_MEMORY)
        memory = Path("/proc/meminfo").read_text()
    except OSError:
        return False
    available_kib = next(int(line.split()[1]) for line in memory.splitlines() if line.startswith("MemAvailable"))
    free = min(place.f_bavail * place.f_frsize, available_kib * 1024, *_limits())
    return free >= _BYTES_MIN and not place.f_flag & os.ST_NOEXEC


def _limits() -> Iterator[int]:
    """What a container may have, in bytes; files in memory count as its own."""
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # not there, or "max"
            yield int(Path(path).read_text())
