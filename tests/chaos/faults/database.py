"""Faults of PostgreSQL itself: killed, restarted, stalled, out of connections or disk, in somebody's hands."""

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from tests.chaos.arena import Arena
from tests.chaos.faults.fault import Fault
from tests.chaos.looking import value
from tests.chaos.nodes import family, state_of
from tests.chaos.promises import DidNotFire

# More than any server of the stack takes: it refuses long before.
_CONNECTIONS_MAX = 200
_REFUSED = "too many clients"
TERMINATE = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
CANCEL = """
    SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
"""

_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass
class Restarted(Fault):
    """Down for a while: killed with every process of its own, or shut down in order."""

    kindly: bool
    _since: datetime | None = field(init=False, default=None)

    async def prepare(self) -> None:
        self._since = await _started(self.arena)

    async def strike(self) -> None:
        node = self.arena.nodes.primary
        await asyncio.to_thread(node.stop if self.kindly else node.kill)

    async def heal(self) -> None:
        await asyncio.to_thread(self.arena.nodes.primary.start)

    async def proof(self) -> str:
        since = await _started(self.arena)
        if since == self._since:
            raise DidNotFire(f"the server has run since {since}")
        return f"away for {self.hold_seconds:.1f} s and its recovery"


@dataclass
class Stalled(Fault):
    """SIGSTOP to the server and all its backends."""

    _states: set[str] = field(init=False, default_factory=set)

    async def strike(self) -> None:
        await asyncio.to_thread(self.arena.nodes.primary.freeze)

    async def heal(self) -> None:
        node = self.arena.nodes.primary
        self._states = {state_of(pid) for pid in node.stopped}
        node.thaw()

    async def proof(self) -> str:
        if "T" not in self._states or self._states - {"T", "Z", ""}:
            raise DidNotFire(f"the server's processes were in states {self._states}")
        return f"stopped for {self.hold_seconds:.1f} s"


@dataclass
class Interrupted(Fault):
    """Somebody ends what workers do there, again and again: their connections, or their statements."""

    query: str  # answers how many it struck
    pause_seconds: float
    _struck: int = field(init=False, default=0)

    async def strike(self) -> None:
        await self._once()

    async def last(self) -> None:
        await _repeatedly(self.hold_seconds, self.pause_seconds, self._once)

    async def felt(self, seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        while not self._struck and time.monotonic() < deadline:
            await self._once()
            await asyncio.sleep(self.pause_seconds)

    async def proof(self) -> str:
        if not self._struck:
            raise DidNotFire("nobody was there to be struck")
        return f"{self._struck} struck"

    async def _once(self) -> None:
        self._struck += await value(self.arena, self.query)


@dataclass
class ConnectionsExhausted(Fault):
    """Somebody else takes every connection, and what workers still have is ended."""

    _taken: list[asyncpg.Connection] = field(init=False, default_factory=list)
    _refused_before: int = field(init=False, default=0)
    _url: str = field(init=False, default="")

    async def prepare(self) -> None:
        self._refused_before = self.arena.crew.told(_REFUSED)
        self._url = self.arena.nodes.primary.url("postgres")

    async def strike(self) -> None:
        await self._fill()
        await self._once()

    async def last(self) -> None:
        await _repeatedly(self.hold_seconds, 0.2, self._once)

    async def heal(self) -> None:
        for connection in self._taken:
            connection.terminate()
        self._taken.clear()

    async def proof(self) -> str:
        refused = self.arena.crew.told(_REFUSED) - self._refused_before
        if not refused:
            raise DidNotFire("no worker was refused a connection")
        return f"{refused} refusals in the workers' logs"

    async def _once(self) -> None:
        """Whoever is ended makes room, which is taken before the worker is back."""
        await self._taken[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", self.arena.database_name
        )
        await self._fill()

    async def _fill(self) -> None:
        with suppress(asyncpg.TooManyConnectionsError):
            while len(self._taken) < _CONNECTIONS_MAX:
                self._taken.append(await asyncpg.connect(self._url, timeout=10))


@dataclass
class LanesLocked(Fault):
    """Somebody's transaction holds every lane."""

    _holding: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)
    _waited: int = field(init=False, default=0)

    async def strike(self) -> None:
        connection = await self._holding.enter_async_context(
            self.arena.nodes.primary.connected(self.arena.database_name)
        )
        await self._holding.enter_async_context(connection.transaction())
        await connection.execute("SELECT FROM ops.lanes ORDER BY lane FOR UPDATE")

    async def last(self) -> None:
        await _repeatedly(self.hold_seconds, 0.2, self._look)

    async def heal(self) -> None:
        await self._holding.aclose()

    async def proof(self) -> str:
        if not self._waited:
            raise DidNotFire("no worker waited for the lanes")
        return f"{self._waited} waited at once"

    async def _look(self) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        self._waited = max(self._waited, await value(self.arena, query))


@dataclass
class Deadlocked(Fault):
    """Somebody takes rows in the other order, days before lanes, again and again; it is the worker that is ended."""

    _before: int = field(init=False, default=0)
    _of_its_own: int = field(init=False, default=0)

    async def prepare(self) -> None:
        self._before = await value(self.arena, _DEADLOCKS)

    async def strike(self) -> None:
        await self._once()

    async def last(self) -> None:
        await _repeatedly(self.hold_seconds, 0.5, self._once)

    async def felt(self, seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        while await self._struck() <= 0 and time.monotonic() < deadline:
            await self._once()

    async def proof(self) -> str:
        struck = await self._struck()
        if struck <= 0:
            raise DidNotFire("no worker met it")
        return f"{struck} deadlocks"

    async def _once(self) -> None:
        try:
            await self._take()
        except asyncpg.DeadlockDetectedError:
            self._of_its_own += 1
        except asyncpg.LockNotAvailableError:
            return  # a worker held them for long; the next time, then

    async def _take(self) -> None:
        primary, database = self.arena.nodes.primary, self.arena.database_name
        async with primary.connected(database) as connection, connection.transaction():
            # Whoever has waited for this long looks for a deadlock, and is ended by it: a worker, after one second.
            await connection.execute("SET LOCAL deadlock_timeout = '30s'; SET LOCAL lock_timeout = '20s'")
            await connection.execute(
                "SELECT FROM finance.daily_cash_balances_partitioned ORDER BY updated_at DESC LIMIT 500 FOR UPDATE"
            )
            await asyncio.sleep(0.3)  # a batch takes its lanes meanwhile, and waits for one of these days
            await connection.execute("SELECT FROM ops.lanes ORDER BY lane FOR UPDATE")

    async def _struck(self) -> int:
        return int(await value(self.arena, _DEADLOCKS)) - self._before - self._of_its_own


@dataclass
class DiskFull(Fault):
    """No file of the server may grow past a megabyte: tables cannot be extended, the log cannot be written.

    The kernel's limit on files (RLIMIT_FSIZE) stands in for a full disk, which nobody lets a test have: writes fail in
    the same places, with EFBIG for ENOSPC. What cannot write its WAL ends and recovers, or stays down until there is
    room.
    """

    bytes_max: int

    async def prepare(self) -> None:
        # What the server says goes to a file as well, and would be lost beyond the limit. It is appended to, so that
        # emptying it takes nothing from what comes.
        self.arena.nodes.primary.log.write_bytes(b"")

    async def strike(self) -> None:
        _limit_files(self.arena, self.bytes_max)

    async def heal(self) -> None:
        node = self.arena.nodes.primary
        _limit_files(self.arena, resource.RLIM_INFINITY)
        await asyncio.sleep(0.5)  # a server that recovers by itself is not in need of a second one
        if not node.running:
            await asyncio.to_thread(node.start)

    async def proof(self) -> str:
        failed = self.arena.nodes.primary.log.read_bytes().count(b"File too large")
        if not failed:
            raise DidNotFire("the server could write all that it wanted to")
        return f"{failed} writes failed"


def _limit_files(arena: Arena, bytes_max: int) -> None:
    """Of every process of the server, and of those that it starts."""
    for pid in family(arena.nodes.primary.pid):
        with suppress(ProcessLookupError):
            _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(
                pid, resource.RLIMIT_FSIZE, (hard if bytes_max == resource.RLIM_INFINITY else bytes_max, hard)
            )


async def _started(arena: Arena) -> datetime:
    since: datetime = await value(arena, "SELECT pg_postmaster_start_time()")
    return since


async def _repeatedly(seconds: float, pause_seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await action()
        await asyncio.sleep(pause_seconds)
