"""`python -m tests.chaos.guard FOLDER`: wait until standard input ends, then clear up the arena in FOLDER.

Whoever starts it keeps the other end of the pipe for as long as it wants the arena. So workers and servers end with it
however it ends, SIGKILL included.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.stack.config import StackConfig
from pipeline.stack.temporary import clear

CLEAR_SECONDS_MAX: Final = 120.0


@contextlib.contextmanager
def guarded(folder: Path) -> Iterator[Path]:
    """The folder of an arena: cleared of workers and servers, and removed, when the block ends or we do."""
    guard = subprocess.Popen(
        (sys.executable, "-m", "tests.chaos.guard", str(folder)),
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,  # Ctrl-C in a terminal is for us, not for it
    )
    try:
        yield folder
    finally:
        guard.communicate(timeout=CLEAR_SECONDS_MAX)


def workers_of(folder: Path) -> list[int]:
    """Every process that was given a setting which only this arena's workers have."""
    mark = f"FOLIO_STACK_DIR={folder / 'no-stack'}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone meanwhile, or not ours to look at
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return sorted(found)


def main(arguments: list[str]) -> int:
    (folder,) = map(Path, arguments)
    while sys.stdin.buffer.read(65_536):
        pass
    for pid in workers_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    clear(StackConfig(folder / "stack"))
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
