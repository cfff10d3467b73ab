"""Months for tests: the real command at any time, and real books that write beside it."""

import asyncio
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.support.ledger import Ledger
from tests.support.starting import forked, forked_at

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Command:
    """`folio partitions` on a database, as a process of its own."""

    database_url: str
    folder: Path

    @property
    def archives(self) -> Path:
        return self.folder / "archives"

    async def __call__(
        self, *arguments: str, at: datetime | None = None, **overrides: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; `overrides` name settings without FOLIO_."""
        return await asyncio.to_thread(self._run, arguments, at, overrides)

    def _run(
        self, arguments: tuple[str, ...], at: datetime | None, overrides: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FOLIO_")}
        # Nothing of the broker and the cache: a scheduler's job is not told of them.
        settings = {"DATABASE_URL": self.database_url, "STACK_DIR": str(self.folder / "no-stack"), **overrides}
        environment = clean | {f"FOLIO_{name}": value for name, value in settings.items()}
        output, errors = (self.folder / f"{next(_numbers)}.{kind}" for kind in ("out", "err"))
        start = forked if at is None else forked_at(at)
        process = start(["partitions", *arguments], environment, output, errors)
        process.join(100)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"folio partitions {' '.join(arguments)}: not done in time")
        return subprocess.CompletedProcess(arguments, process.exitcode, output.read_text(), errors.read_text())


@pytest.fixture
def partitions(database: str, tmp_path: Path) -> Command:
    """The command on this test's own database."""
    command = Command(database, tmp_path)
    command.archives.mkdir()
    return command


@pytest_asyncio.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right to this test's own database."""
    connection = await asyncpg.connect(database, server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


MakeLedger = Callable[..., Awaitable[Ledger]]


@pytest_asyncio.fixture
async def make_ledger(database: str, admin: asyncpg.Connection) -> AsyncIterator[MakeLedger]:
    """Makes real books on this test's own database, with every lane claimed, at a time of their own."""
    ledgers: list[Ledger] = []

    async def make(now: datetime, **options: Any) -> Ledger:
        ledger = Ledger(database, admin, **options)
        ledgers.append(ledger)
        move(ledger, now)
        return await ledger.claim()

    try:
        yield make
    finally:
        for ledger in ledgers:
            ledger.books.discard()


def move(ledger: Ledger, now: datetime) -> None:
    """Let it be another time for the books, and for the brokers that append to their topics."""
    ledger.clock.wall = now
    for lane in (*ledger.lanes.values(), *ledger.desks.values()):
        lane.appended_at = now


async def months_of(admin: asyncpg.Connection, table: str) -> list[str]:
    """The months that a table has, as YYYY_MM."""
    rows = await admin.fetch(
        "SELECT right(relname, 7) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = $1::text::regclass AND relname NOT LIKE '%default' ORDER BY 1",
        table,
    )
    return [row[0] for row in rows]
