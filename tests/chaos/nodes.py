"""PostgreSQL, twice: a primary, and when it is asked for a standby that follows it and can take over.

Both live in the folder of the stack's part `postgres`, so that whoever clears up the stack finds their processes too.
The standby follows through a link of its own, which can be cut.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from pipeline.errors import StackFailed
from pipeline.stack.part import made_once
from pipeline.stack.ports import choose
from pipeline.stack.postgres import USER, Postgres
from pipeline.stack.privileges import Privileges, unprivileged
from pipeline.stack.probes import NotReady
from pipeline.stack.process import Process, alive, end, spawn, tail
from pipeline.stack.record import write_whole
from pipeline.stack.standby import Source, back_up
from tests.chaos.link import Link
from tests.support.waiting import until

STREAMING_SECONDS_MAX: Final = 30.0
PROMOTION_SECONDS_MAX: Final = 25
_LOOK_SECONDS: Final = 0.05


@dataclass
class Node:
    """One server, in a folder of its own: its data, its socket, its port."""

    part: Postgres
    port: int
    process: Process | None = None
    stopped: list[int] = field(default_factory=list)  # processes that were sent SIGSTOP

    def url(self, database: str) -> str:
        """As the superuser, by its socket."""
        return urlunsplit(urlsplit(self.part.address(self._ports))._replace(netloc=f"{USER}@", path=f"/{database}"))

    @property
    def socket(self) -> Path:
        return self.part.sockets / f".s.PGSQL.{self.port}"

    @property
    def log(self) -> Path:
        return self.part.folder / "log"

    @property
    def running(self) -> bool:
        return self.process is not None and alive(self.process, self.part.folder)

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server was never started"
        return self.process.pid

    @property
    def _ports(self) -> dict[str, int]:
        return {"postgres": self.port}

    def start(self) -> None:
        """Start it unless it runs, and return when it answers. Raises StackFailed."""
        if not self.running:
            self.part.check()
            self.part.prepare(self._ports)
            self.process = spawn(self.part.command(), self.part.folder, self.log, self.part.environ())
        deadline = time.monotonic() + self.part.ready_seconds_max
        while True:
            try:
                self.part.ready(self._ports)
            except NotReady as error:
                if not self.running or time.monotonic() > deadline:
                    raise StackFailed(f"the node at {self.port} does not serve ({error}):\n{tail(self.log)}") from error
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def kill(self) -> None:
        """SIGKILL to the server and every process of its own, as when the machine is gone."""
        _signal(frozen_family(self.pid), signal.SIGKILL)
        while self.running:
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """The orderly way: sessions are ended, a checkpoint is written."""
        if self.process is not None:
            end(self.process, self.part.folder, signal.SIGINT, 60.0)

    def freeze(self) -> None:
        """SIGSTOP to all of it: connections stand, and nobody answers."""
        self.stopped = frozen_family(self.pid)

    def thaw(self) -> None:
        """SIGCONT to all that was frozen."""
        _signal(self.stopped, signal.SIGCONT)
        self.stopped = []

    @asynccontextmanager
    async def connected(self, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
        """A superuser's connection, past every link."""
        connection = await asyncpg.connect(self.url(database), timeout=10)
        try:
            yield connection
        finally:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=5)


class Nodes:
    """A primary, and at most one standby. Workers reach the primary by the link `database`, wherever it is."""

    def __init__(self, folder: Path, database: Link, replication: Link) -> None:
        self._privileges = unprivileged()
        self._links = (database, replication)
        self._replication = replication
        first = choose("one", None, (), ())
        ports = {"one": first, "two": choose("two", None, (), (first,))}
        self._pair = [_node(folder / name, port, self._privileges) for name, port in ports.items()]
        self.primary = self._pair[0]
        self.standby: Node | None = None

    async def start(self) -> None:
        """The first primary, empty."""
        await asyncio.to_thread(self.primary.start)
        self._lead()

    async def follow(self) -> None:
        """See to it that a standby follows the primary, made anew where there is none."""
        if self.standby is None:
            standby = next(node for node in self._pair if node is not self.primary)
            await asyncio.to_thread(self._make_standby, standby)
            self.standby = standby
        await until(self._streaming, STREAMING_SECONDS_MAX)

    async def promote(self) -> None:
        """The standby takes over, and the link leads to it. The old primary must be dead: its data are given up."""
        assert self.standby is not None, "there is nobody to promote"
        assert not self.primary.running, "two primaries at once"
        async with self.standby.connected() as connection:
            promoted = await connection.fetchval("SELECT pg_promote(true, $1)", PROMOTION_SECONDS_MAX)
        assert promoted, f"the standby was not promoted within {PROMOTION_SECONDS_MAX} s"
        self.primary, self.standby = self.standby, None
        self._lead()

    async def give_up_the_standby(self) -> None:
        """Nobody knows how far it is, or whether it was promoted: the next one is made anew."""
        if self.standby is not None:
            standby, self.standby = self.standby, None
            await asyncio.to_thread(standby.stop)

    def logs(self) -> Sequence[Path]:
        return [node.log for node in self._pair if node.log.exists()]

    def _lead(self) -> None:
        for link in self._links:
            link.upstream = self.primary.socket

    async def _streaming(self) -> bool:
        async with self.primary.connected() as connection:
            behind = await connection.fetchval(
                "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) FROM pg_stat_replication "
                "WHERE state = 'streaming'"
            )
        return behind is not None

    def _make_standby(self, node: Node) -> None:
        """A base backup of the primary, and from then on what the replication link brings."""
        node.stop()
        if node.part.data.exists():
            shutil.rmtree(node.part.data)
        made_once(node.part.data, lambda unfinished: self._back_up(node, unfinished))
        node.start()

    def _back_up(self, node: Node, unfinished: Path) -> None:
        primary = Source(str(self.primary.part.sockets), self.primary.port)
        back_up(primary, unfinished, node.part.folder, self._privileges)
        linked = Source("127.0.0.1", self._replication.port)
        write_whole(unfinished / "postgresql.auto.conf", f"primary_conninfo = '{linked.conninfo}'\n".encode())
        self._privileges.own(unfinished / "postgresql.auto.conf")


def family(pid: int) -> list[int]:
    """The process and all that descend from it, the eldest first."""
    found = [pid]
    for parent in found:  # grows while it is read: children of children
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    return found


def frozen_family(pid: int) -> list[int]:
    """As `family`, each of them stopped; the eldest first, so that no child is born unseen."""
    _signal([pid], signal.SIGSTOP)
    found = family(pid)
    _signal(found, signal.SIGSTOP)
    return found


def state_of(pid: int) -> str:
    """The kernel's letter for what a process does: T when it is stopped; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _signal(processes: Sequence[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _node(folder: Path, port: int, privileges: Privileges) -> Node:
    sockets = folder / "socket"
    sockets.mkdir(mode=0o700, parents=True)
    if privileges.owner:  # the other user must pass through
        folder.parent.chmod(0o711)
    return Node(Postgres(folder, sockets, privileges), port)
