"""Starting, recognising and ending the processes of a stack.

A process id alone proves nothing: after a crash or a reboot it may belong to anyone. A process is ours when we are its
parent, or when it started at the tick that we noted *and* works in our folder; no other is believed or signalled.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StackFailed

POLL_SECONDS = 0.05
LOG_BYTES_MAX = 8_000_000
# What parts run as. A stray is one of these working in a part's folder; an operator's shell there is not.
EXECUTABLES = frozenset({"postgres", "initdb", "pg_basebackup", "java", "valkey-server"})


@dataclass(frozen=True, slots=True)
class Process:
    """A process and the kernel tick at which it started: together they never come twice between two boots."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class _Child:
    handle: subprocess.Popen[bytes]
    folder: Path


# Children of this very process must be reaped by it, or they stay zombies; kept here they are, and a
# collected Popen of a server that outlives us raises no ResourceWarning.
_children: dict[Process, _Child] = {}


def spawn(
    command: Sequence[str],
    folder: Path,
    log: Path,
    environ: Mapping[str, str] | None = None,
    stdin: Path = Path(os.devnull),
) -> Process:
    """Start `command` in `folder`, in a session of its own, to survive the terminal that started it."""
    _bound(log)
    with log.open("ab") as output, stdin.open("rb") as source:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=source,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
        )
    # Between its fork and our look it cannot vanish: it is our child, at worst a zombie.
    process = Process(child.pid, _started(child.pid) or 0)
    _children[process] = _Child(child, folder)
    return process


def run(
    command: Sequence[str],
    folder: Path,
    log: Path,
    what: str,
    timeout_seconds: float,
    stdin: Path = Path(os.devnull),
) -> None:
    """Run a preparing command to its end, e.g. initdb; it works in `folder`, and is found there if we die."""
    process = spawn(command, folder, log, stdin=stdin)
    try:
        code = _children[process].handle.wait(timeout_seconds)
    except subprocess.TimeoutExpired as exc:
        end(process, folder, signal.SIGKILL, 0)
        raise StackFailed(f"{what} did not end within {timeout_seconds:g} s; see {log}") from exc
    if code != 0:
        raise StackFailed(f"{what} failed (exit code {code}):\n{tail(log)}")


def alive(process: Process, folder: Path) -> bool:
    """Whether this very process still runs, and is the folder's: was started by us for it, or works there."""
    child = _children.get(process)
    if child is not None:
        # No look at where it works: a program may leave its folder for a moment.
        return child.folder == folder and child.handle.poll() is None
    return _started(process.pid) == process.started and _works_in(process.pid, folder)


def ending(process: Process) -> str:
    """How a process ended, in words, e.g. `exit code 1`; only of our children it is known."""
    code = _children[process].handle.poll() if process in _children else None
    if code is None:
        return "nobody knows how"
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"


def strays(folder: Path) -> list[Process]:
    """Server processes that work in `folder`, whether or not anyone noted them."""
    return [
        Process(pid, started)
        for pid in _pids()
        if _works_in(pid, folder) and _executable(pid) in EXECUTABLES and (started := _started(pid))
    ]


def end(process: Process, folder: Path, how: signal.Signals, patience_seconds: float) -> None:
    """Ask a process to end, wait for it, and kill it when patience runs out."""
    for sign, seconds in ((how, patience_seconds), (signal.SIGKILL, 10.0)):
        if not alive(process, folder):
            break
        try:
            os.kill(process.pid, sign)
        except ProcessLookupError:
            break
        if _gone(process, folder, seconds):
            break
    else:
        raise StackFailed(f"process {process.pid} of {folder} does not end; is its disk hanging?")
    if (child := _children.get(process)) and child.handle.poll() is not None:
        del _children[process]


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, to be shown when its process died."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return f"({log} was not written)"
    return "\n".join(text.splitlines()[-lines:])


def _gone(process: Process, folder: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(process, folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _started(pid: int) -> int | None:
    """The start tick of a live process; a zombie has none, for it holds nothing any more.

    One whose first thread alone has ended is no zombie: the others still hold its files and ports.
    """
    try:
        # The command name may hold spaces and brackets; the fields follow its last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, started = fields[0], int(fields[19])
    ended = state in "ZX" and len(_threads(pid)) <= 1
    return None if ended else started


def _works_in(pid: int, folder: Path) -> bool:
    cwd = _cwd(pid)
    # Of a removed folder the kernel says "… (deleted)"; the prefix still tells that it was ours.
    return cwd.removesuffix(" (deleted)") == str(folder) or cwd.startswith(f"{folder}/")


def _cwd(pid: int) -> str:
    """Of any of its threads: one that has ended works nowhere."""
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            return str((thread / "cwd").readlink())
    return ""


def _threads(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _executable(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _bound(log: Path) -> None:
    # A start is the moment when nobody writes the file; growth within one run is the part's business.
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(f"{log.name}.old"))
