"""The replicas of the stack's PostgreSQL: made, made anew, and given up, until there are as many as were asked for."""

import time
from pathlib import Path
from typing import Final

import sql
from pipeline.errors import StackFailed
from pipeline.stack.config import REPLICAS, PartName
from pipeline.stack.folder import make_folder, remove
from pipeline.stack.part import AT_ONCE
from pipeline.stack.privileges import unprivileged
from pipeline.stack.probes import NotReady, ask
from pipeline.stack.process import POLL_SECONDS, end, strays
from pipeline.stack.record import running
from pipeline.stack.standby import Source, Standby, replica_sockets
from pipeline.stack.starter import STRAY_PATIENCE_SECONDS, Starter

# The primary notices that a replica is gone when it next writes to it, or by its own timeout.
_SLOT_SECONDS_MAX: Final = 15.0


def bring_up_replicas(starter: Starter) -> None:
    """Have as many replicas follow the primary, which serves, as the stack is asked for. Raises StackFailed.

    One after the other: a base backup reads all that the primary has, and two at once are no faster.
    """
    wanted = _wanted(starter)
    # Noted first: what is to go is not brought up again by a command that comes after one that was killed here.
    starter.ledger.use_replicas(wanted)
    for name in REPLICAS[wanted:]:
        if name in starter.ledger.record.parts or (starter.config.directory / name).exists():
            _forget(starter, name)
    for name in REPLICAS[:wanted]:
        if not _follows(starter, _standby(starter, name)):
            _forget(starter, name)
        starter.bring_up(_standby(starter, name))


def behind_bytes(primary_url: str, replica_url: str) -> int:
    """WAL that the primary has written and the replica has not replayed. Raises NotReady."""
    statement = sql.query("server_position")
    written, replayed = (ask(url, statement) for url in (primary_url, replica_url))
    assert written is not None
    assert replayed is not None
    return max(0, int(written["lsn"]) - int(replayed["lsn"]))


def _wanted(starter: Starter) -> int:
    if starter.config.replicas is not None:
        return starter.config.replicas
    return 0 if "postgres" in starter.config.external else starter.ledger.record.replicas


def _standby(starter: Starter, name: PartName) -> Standby:
    privileges, record = unprivileged(), starter.ledger.record
    folder = make_folder(starter.config.directory, name)
    source = Source(record.socket_folder, record.ports["postgres"])
    sockets = replica_sockets(folder, Path(record.socket_folder), privileges)
    return Standby(folder, sockets, privileges, name, (name,), source=source)


def _follows(starter: Starter, standby: Standby) -> bool:
    """Whether a replica can go on from what it has: it is of the primary's history, which keeps what it lacks."""
    primary = starter.ledger.record.parts["postgres"].address
    position, slot = ask(primary, sql.query("server_position")), ask(primary, sql.query("replica_slot"), standby.slot)
    assert position is not None
    kept = slot is not None and slot["wal_status"] != "lost"
    return kept and _epoch(starter, standby) == position["epoch"]


def _epoch(starter: Starter, standby: Standby) -> str | None:
    """What it says itself, if it runs: its files know of a new timeline only some minutes later."""
    note = starter.ledger.record.parts.get(standby.name)
    if note is not None and running(starter.config.directory, standby.name, note):
        try:
            position = ask(note.address, sql.query("server_position"))
        except NotReady:
            return standby.epoch()
        return str(position["epoch"]) if position is not None and position["in_recovery"] else None
    return standby.epoch()


def _forget(starter: Starter, name: PartName) -> None:
    """Stop a replica, and remove all that was kept by it and for it."""
    folder, note = starter.config.directory / name, starter.ledger.record.parts.get(name)
    if note is not None and note.process is not None:
        end(note.process, folder, AT_ONCE[name], STRAY_PATIENCE_SECONDS)
    for stray in strays(folder):
        end(stray, folder, AT_ONCE[name], STRAY_PATIENCE_SECONDS)
    starter.ledger.stopped(name)
    if "postgres" not in starter.config.external:
        _drop_slot(starter.ledger.record.parts["postgres"].address, f"folio_{name}")
    remove(folder)


def _drop_slot(primary: str, slot: str) -> None:
    deadline = time.monotonic() + _SLOT_SECONDS_MAX
    while True:
        try:
            ask(primary, sql.query("drop_replica_slot"), slot)
        except NotReady as exc:  # still in use, for the primary does not know yet
            if time.monotonic() > deadline:
                raise StackFailed(f"replication slot {slot} cannot be dropped: {exc}") from exc
            time.sleep(POLL_SECONDS)
        else:
            return
