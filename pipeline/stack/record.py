"""What is written down about a stack: `stack.json` in its folder, always whole, never half.

The file also marks a folder as a stack's own. Nothing is ever deleted in a folder that lacks it.
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import msgspec

from pipeline.errors import StackFailed
from pipeline.stack.config import PARTS, REPLICAS, Endpoints, PartName
from pipeline.stack.process import Process, alive

FILE = "stack.json"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A part as it was started; `process` is None for an external server."""

    address: str
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A stack between two commands. Ports are remembered when it is down, so that addresses stay the same."""

    folio_stack: int = 1
    ports: dict[str, int] = field(default_factory=dict)
    parts: dict[PartName, PartRecord] = field(default_factory=dict)
    socket_folder: str = ""
    replicas: int = 0


class Ledger:
    """The record of one stack while a command changes it, from several threads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = Lock()
        self._record = read(directory) or Record()
        self._write()

    @property
    def record(self) -> Record:
        return self._record

    def started(self, part: PartName, note: PartRecord) -> None:
        with self._lock:
            self._record = replace(self._record, parts=self._record.parts | {part: note})
            self._write()

    def stopped(self, part: PartName) -> None:
        with self._lock:
            rest = {name: note for name, note in self._record.parts.items() if name != part}
            self._record = replace(self._record, parts=rest)
            self._write()

    def use_ports(self, ports: dict[str, int]) -> None:
        with self._lock:
            self._record = replace(self._record, ports=self._record.ports | ports)
            self._write()

    def use_socket_folder(self, folder: Path) -> None:
        with self._lock:
            self._record = replace(self._record, socket_folder=str(folder))
            self._write()

    def use_replicas(self, count: int) -> None:
        with self._lock:
            self._record = replace(self._record, replicas=count)
            self._write()

    def _write(self) -> None:
        write_whole(self.directory / FILE, msgspec.json.format(msgspec.json.encode(self._record)))


def read(directory: Path) -> Record | None:
    """The record of a stack folder; None when the folder is not one."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as exc:
        raise StackFailed(f"{directory / FILE} cannot be read; the stack belongs to another user") from exc
    except msgspec.DecodeError as exc:
        raise StackFailed(f"{directory / FILE} is not a stack's record ({exc}); restore or remove it") from exc


def running(directory: Path, part: PartName, note: PartRecord) -> bool:
    """Whether a recorded part's own process lives; an external part has none."""
    return note.process is not None and alive(note.process, directory / part)


def endpoints(directory: Path) -> Endpoints | None:
    """Where the stack in `directory` answers; None when none is up.

    Cheap: reads one file and /proc, asks no server. A part that crashed keeps its address, for it will come
    back there; when nothing of the stack lives, it is down.
    """
    directory = directory.expanduser().resolve()
    record = read(directory)
    if record is None or not set(PARTS) <= set(record.parts):
        return None
    own = [(part, note) for part, note in record.parts.items() if note.process is not None]
    if own and not any(running(directory, part, note) for part, note in own):
        return None
    return addresses(record)


def addresses(record: Record) -> Endpoints:
    """The addresses of a record that has all parts."""
    postgres, kafka, valkey = (record.parts[part].address for part in PARTS)
    replicas = tuple(record.parts[name].address for name in REPLICAS if name in record.parts)
    return Endpoints(database_url=postgres, kafka_bootstrap=kafka, redis_url=valkey, replica_urls=replicas)


def write_whole(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file at once: a reader, or a crash, finds the old content or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
