"""The folder of a stack: made, locked against a second command, and removed, but never someone else's."""

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import StackFailed
from pipeline.stack.config import PARTS, REPLICAS, PartName
from pipeline.stack.record import FILE, LOCK, read

# PostgreSQL may keep 4 GB of WAL, but begins with some 60 MB; below this the first load would already fail.
FREE_BYTES_MIN = 1_000_000_000
LOCK_WAIT_SECONDS = 180.0
# AF_UNIX paths end at 108 bytes with their NUL; `/.s.PGSQL.65535` is ours to add.
SOCKET_FOLDER_BYTES_MAX = 107 - len("/.s.PGSQL.65535")
# Where workers and a server that a command of ours started beside the stack write their logs.
WORKERS_LOG = "workers.log"
SERVER_LOG = "serve.log"
# What the stack's own tokens and cursors are signed with (pipeline.api.development): they go with its books.
KEYS = ("token-key.pem", "cursor-secret")


def open_folder(directory: Path) -> None:
    """Make the folder, or check that it is ours to use."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = not (directory / FILE).exists() and any(_foreign(entry) for entry in directory.iterdir())
    except OSError as exc:
        raise StackFailed(explain(exc, directory)) from exc
    if foreign:
        raise StackFailed(f"{directory} holds other files and is no stack; name an empty one in FOLIO_STACK_DIR")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StackFailed(f"{directory} is not writable; name another folder in FOLIO_STACK_DIR")
    free = shutil.disk_usage(directory).free
    if free < FREE_BYTES_MIN:
        raise StackFailed(
            f"{directory} has {free // 1_000_000} MB left and the stack needs {FREE_BYTES_MIN // 1_000_000}; "
            "free some, or name a folder on another disk in FOLIO_STACK_DIR"
        )


def make_folder(directory: Path, part: PartName) -> Path:
    """The folder of a part of a stack. Raises StackFailed."""
    folder = directory / part
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise StackFailed(explain(exc, folder)) from exc
    return folder


@contextlib.contextmanager
def locked(path: Path, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock file of a folder; the kernel lets go of it when we die."""
    descriptor = _take(path, time.monotonic() + wait_seconds)
    try:
        yield
    finally:
        os.close(descriptor)


def purge(directory: Path) -> None:
    """Remove all that a stack wrote, and the folder when that leaves it empty.

    Only known names are removed: a file that someone put there stays. The record goes last but one, so that a
    purge that was cut short can be done again; the lock goes last, while we hold it.
    """
    record = read(directory)
    if record is None:
        raise StackFailed(f"{directory} is not a stack folder (it has no {FILE}); nothing was removed")
    for part in (*PARTS, *REPLICAS):
        remove(directory / part)
    for name in (WORKERS_LOG, SERVER_LOG, *KEYS):
        (directory / name).unlink(missing_ok=True)
    if record.socket_folder and Path(record.socket_folder).parent != directory:
        remove(Path(record.socket_folder))
    for leftover in sorted(directory.glob(f"{FILE}*"), reverse=True):
        leftover.unlink(missing_ok=True)
    (directory / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()


def explain(exc: OSError, directory: Path) -> str:
    """One line on what the system refused and how to mend it."""
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"no space left for {exc.filename or directory}; free some, or set FOLIO_STACK_DIR elsewhere"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{exc.filename or directory} is not writable; name another folder in FOLIO_STACK_DIR"
        case errno.ENOTDIR | errno.EEXIST:
            return f"{exc.filename or directory} is a file; name a folder in FOLIO_STACK_DIR"
        case errno.ENAMETOOLONG:
            return f"the path {directory} is too long; name a shorter one in FOLIO_STACK_DIR"
        case _:
            return f"{exc.filename or directory}: {exc.strerror or exc}"


def remove(folder: Path) -> None:
    """Remove a folder with all that it holds; one that is gone is as good. Raises StackFailed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise StackFailed(explain(exc, folder)) from exc


def _foreign(entry: Path) -> bool:
    return entry.name != LOCK and not entry.name.startswith(FILE)


def _take(path: Path, deadline: float) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StackFailed(explain(exc, path.parent)) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A purge may have removed the file that we waited for: a lock on it would guard nothing.
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StackFailed(f"another command has held {path} for too long; see who: fuser {path}") from None
            time.sleep(0.1)
        os.close(descriptor)
