"""The local stack as a whole: up, status, down."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from signal import Signals
from threading import Event, Lock
from typing import Literal

from pipeline.errors import StackFailed
from pipeline.stack.config import PARTS, REPLICAS, VARIABLES, Endpoints, PartName, StackConfig
from pipeline.stack.folder import locked, make_folder, open_folder, purge
from pipeline.stack.kafka import Kafka
from pipeline.stack.packages import check_platform
from pipeline.stack.part import AT_ONCE, KINDLY, Part
from pipeline.stack.postgres import Postgres, socket_folder
from pipeline.stack.privileges import unprivileged
from pipeline.stack.probes import PROBES, NotReady
from pipeline.stack.process import end, strays
from pipeline.stack.record import LOCK, Ledger, PartRecord, addresses, read, running
from pipeline.stack.replicas import behind_bytes, bring_up_replicas
from pipeline.stack.starter import STRAY_PATIENCE_SECONDS, Starter
from pipeline.stack.valkey import Valkey

State = Literal["running", "not answering", "stopped", "external"]
# Kafka writes its clean-shutdown mark for all partitions, PostgreSQL its checkpoint.
STOP_PATIENCE_SECONDS = 60.0
# Nobody's data hangs on the broker or the cache; the database goes last, as the others' clients write to it, and
# its replicas before it: a primary waits until those that are there have had everything.
STOP_ORDER: Sequence[PartName] = ("kafka", "valkey", *REPLICAS, "postgres")


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One line of `folio stack status`."""

    part: PartName
    state: State
    address: str = ""
    pid: int | None = None
    version: str = ""
    detail: str = ""
    behind_bytes: int | None = None  # of a replica that follows

    @property
    def well(self) -> bool:
        return bool(self.version)


def up(config: StackConfig) -> Endpoints:
    """Start what is missing and return when all serve, the replicas too. Done twice, it is done once."""
    if len(config.external) < len(PARTS):
        check_platform()
    open_folder(config.directory)
    with locked(config.directory / LOCK):
        ledger = Ledger(config.directory)
        starter = Starter(config, ledger, Event(), Lock())
        with ThreadPoolExecutor(len(PARTS)) as pool:
            tasks = [pool.submit(_bring_up, starter, part) for part in PARTS]
            try:
                failures = [failure for task in tasks if (failure := task.exception())]
            except BaseException:  # Ctrl-C: the pool waits for its threads, so they must end
                starter.given_up.set()
                raise
        for failure in failures:
            if not isinstance(failure, StackFailed):
                raise failure
        if failures:
            raise StackFailed("\n".join(str(failure) for failure in failures)) from failures[0]
        bring_up_replicas(starter)
        return addresses(ledger.record)


def down(config: StackConfig, purge_data: bool = False) -> None:
    """Stop the parts that we started, one after the other; with `purge_data` remove all that they wrote.

    Nothing to stop is no error; a folder that is no stack is never touched.
    """
    directory = config.directory
    if not directory.exists():
        return
    if read(directory) is None:
        if purge_data:
            purge(directory)  # refuses, and says why
        return
    with locked(directory / LOCK):
        if read(directory) is None:  # another `down --purge` was faster
            return
        ledger = Ledger(directory)
        for part in STOP_ORDER:
            if part in REPLICAS and not (directory / part).exists():
                continue
            _stop(ledger, part, (AT_ONCE if purge_data else KINDLY)[part])
        if purge_data:
            purge(directory)


def status(config: StackConfig) -> tuple[PartStatus, ...]:
    """What each part is doing, asked of the part itself."""
    record = read(config.directory)
    notes = record.parts if record else {}
    replicas = REPLICAS[: record.replicas] if record else ()
    with ThreadPoolExecutor(len(PARTS)) as pool:
        found = tuple(pool.map(lambda part: _status(config, part, notes.get(part)), (*PARTS, *replicas)))
    primary = found[PARTS.index("postgres")]
    return tuple(_with_lag(each, primary) if each.part in REPLICAS and each.well else each for each in found)


def _bring_up(starter: Starter, part: PartName) -> None:
    if part not in starter.config.external:
        make_folder(starter.config.directory, part)
        starter.bring_up(_part(starter, part))
        return
    address = starter.config.external[part]
    try:
        PROBES[part](address)
    except NotReady as exc:
        raise StackFailed(
            f"{VARIABLES[part]} names a server that does not answer ({exc}); mend it, or leave the setting out"
        ) from exc
    _stop(starter.ledger, part, KINDLY[part])
    starter.ledger.started(part, PartRecord(address))


def _part(starter: Starter, part: PartName) -> Part:
    folder = starter.config.directory / part
    match part:
        case "postgres":
            privileges = unprivileged()
            sockets = socket_folder(folder, starter.ledger.record.socket_folder, privileges)
            starter.ledger.use_socket_folder(sockets)
            return Postgres(folder, sockets, privileges)
        case "kafka":
            return Kafka(folder, maven_url=starter.config.maven_url)
        case "valkey":
            return Valkey(folder)
        case _:
            raise AssertionError(f"{part} is brought up with the other replicas")


def _stop(ledger: Ledger, part: PartName, how: Signals) -> None:
    folder = ledger.directory / part
    note = ledger.record.parts.get(part)
    if note is not None and note.process is not None:
        end(note.process, folder, how, STOP_PATIENCE_SECONDS)
    for stray in strays(folder):
        end(stray, folder, AT_ONCE[part], STRAY_PATIENCE_SECONDS)
    ledger.stopped(part)


def _with_lag(replica: PartStatus, primary: PartStatus) -> PartStatus:
    try:
        behind = behind_bytes(primary.address, replica.address)
    except NotReady as exc:
        return replace(replica, detail=f"its lag is not known: {exc}")
    return replace(replica, behind_bytes=behind, detail=f"{behind:,} bytes behind")


def _status(config: StackConfig, part: PartName, note: PartRecord | None) -> PartStatus:
    if part in config.external:
        note = PartRecord(config.external[part])
    if note is None:
        return PartStatus(part, "stopped")
    pid = note.process.pid if note.process else None
    if pid is not None and not running(config.directory, part, note):
        return PartStatus(part, "stopped", note.address, detail=f"process {pid} is gone; see {part}/log")
    try:
        version = PROBES[part](note.address)
    except NotReady as exc:
        return PartStatus(part, "not answering", note.address, pid, detail=str(exc))
    return PartStatus(part, "running" if pid else "external", note.address, pid, version)
