"""Months pass under live writes, and `folio partitions apply` is killed at random: no month is missed, no row is lost.

The books write throughout, with a clock of their own: events of now and of tomorrow, events that come years late, edits
of transactions whose month has left; and one of two lanes is forty days behind, so that its records are of months that
leave meanwhile. Beside them stands what each transaction must be, kept by hand. FOLIO_TEST_MONTHS=30 makes it as long
as the requirements ask, FOLIO_TEST_MONTHS_SEED another history.
"""

import asyncio
import csv
import gzip
import io
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

import asyncpg
import pytest

from pipeline.crash import PARTITION_POINTS
from pipeline.maintenance.partitions.state import EVENTS, EXPENSES, REVENUES
from pipeline.months import month_of, months_after, retention_start, start_of
from schemas.records import Accepted
from schemas.routing import home_lane
from tests.maintenance.partitions.conftest import Command, MakeLedger, months_of, move
from tests.support.ledger import Ledger

MONTHS: Final = int(os.environ.get("FOLIO_TEST_MONTHS", "4"))
SEED: Final = int(os.environ.get("FOLIO_TEST_MONTHS_SEED", "1"))
# The migration has made 24 months of the past: in a short run some of them are to leave, too.
RETENTION: Final = 24 if MONTHS >= 30 else 23
BEHIND: Final = timedelta(days=40)
ORGS: Final = [next(org for org in range(1, 99) if home_lane(org, 2) == lane) for lane in (0, 1)]
TABLES: Final = {"revenue": REVENUES, "expense": EXPENSES}
POINTS: Final = [point for point in PARTITION_POINTS if "restor" not in point and point != "versions_kept"]

_BATCHES_MIN: Final = 15  # of a month, however busy the machine is

Key = tuple[str, int, int]  # revenue or expense, organisation, number


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest version of a transaction, and whether its row was written with it."""

    version: int
    occurred_at: datetime
    retained: bool


@dataclass(slots=True)
class Writer:
    """Writes through real books, and remembers what must be there."""

    ledger: Ledger
    random: random.Random
    now: datetime
    transactions: dict[Key, Kept] = field(default_factory=dict)
    longest_seconds: float = 0.0

    async def write_until(self, enough: asyncio.Event) -> None:
        batches = 0
        while batches < _BATCHES_MIN or not enough.is_set():
            batches += 1
            move(self.ledger, self.now)
            self.ledger.lanes[1].appended_at = self.now - BEHIND
            keys = {self._key() for _ in range(20)}
            batch = [self._record(key) for key in sorted(keys)]
            began = asyncio.get_running_loop().time()
            await self.ledger.commit(*batch)
            self.longest_seconds = max(self.longest_seconds, asyncio.get_running_loop().time() - began)

    def _key(self) -> Key:
        if self.transactions and self.random.random() < 0.4:
            return self.random.choice(list(self.transactions))
        return self.random.choice(list(TABLES)), self.random.choice(ORGS), self.random.randrange(1, 1 << 40)

    def _record(self, key: Key) -> Accepted:
        kind, org, number = key
        before = self.transactions.get(key)
        appended_at = self.ledger.lanes[home_lane(org, 2)].appended_at
        occurred_at = self._instant(before, appended_at)
        version = before.version + 1 if before else 1
        self.transactions[key] = Kept(version, occurred_at, occurred_at >= retention_start(appended_at, RETENTION))
        return self.ledger.event(number, version, kind=kind, org=org, at=occurred_at)

    def _instant(self, before: Kept | None, appended_at: datetime) -> datetime:
        """Where it was, now, tomorrow, or some time ago: most of that is kept, some of it too old."""
        if before is not None and self.random.random() < 0.7:
            return before.occurred_at
        late = timedelta(days=self.random.randrange(30 * (RETENTION + 3)), seconds=self.random.randrange(86_400))
        return appended_at + self.random.choice([timedelta(0), timedelta(hours=23), -late, -late])


@pytest.mark.timeout(60 + 30 * MONTHS)
async def test_months_pass_under_live_writes_and_no_row_is_lost(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    chance = random.Random(SEED)
    first = month_of(datetime.now(UTC))
    writer = Writer(await make_ledger(start_of(first), retention_months=RETENTION), chance, start_of(first))
    kills = 0
    for passed in range(MONTHS):
        writer.now = start_of(months_after(first, passed)) + timedelta(days=14)
        kills += await _maintain_while_writing(partitions, writer, chance)
        await _check_months(admin, writer.now)
    assert kills
    # Nobody writes any more: what came late has left, or is where it belongs.
    assert (await _apply(partitions, writer.now)).returncode == 0
    await _check_rows(admin, partitions.archives, writer)
    print(
        f"{MONTHS} months, {len(writer.transactions):,} transactions, {kills} runs killed; "
        f"the longest batch took {writer.longest_seconds:.3f} s"
    )


async def _maintain_while_writing(partitions: Command, writer: Writer, chance: random.Random) -> int:
    """Some runs that are killed, then one that is not; returns how many were."""
    kills, enough = 0, asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer.write_until(enough))
        for _ in range(chance.randrange(1, 3)):
            point = f"{chance.choice(POINTS)}:{chance.randrange(1, 3)}"
            killed = await _apply(partitions, writer.now, WORKER_CRASH_AT=point)
            assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
            kills += killed.returncode != 0
        finished = await _apply(partitions, writer.now)
        assert finished.returncode == 0, finished.stderr
        enough.set()
    return kills


async def _apply(partitions: Command, now: datetime, **overrides: str) -> CompletedProcess[str]:
    kept = {"BATCH_RETENTION_MONTHS": str(RETENTION), **overrides}
    return await partitions("apply", "--archive", str(partitions.archives), at=now, **kept)


async def _check_months(admin: asyncpg.Connection, now: datetime) -> None:
    """Every month from retention's edge to three ahead, and no other."""
    present = month_of(now)
    wanted = [f"{months_after(present, step):%Y_%m}" for step in range(-RETENTION, 4)]
    for table in TABLES.values():
        assert await months_of(admin, table) == wanted
    assert set(await months_of(admin, EVENTS)) >= set(wanted[-4:])


async def _check_rows(admin: asyncpg.Connection, archives: Path, writer: Writer) -> None:
    """Each row is in the partition of its month, or its month is past retention, and it is in an archive."""
    edge = retention_start(writer.now, RETENTION)
    expected, left = dict[Key, tuple[int, str]](), Counter[tuple[Key, int]]()
    for key, kept in writer.transactions.items():
        if kept.occurred_at >= edge:
            expected[key] = kept.version, f"{kept.occurred_at:%Y_%m}"
        elif kept.retained:
            left[key, kept.version] += 1
    found = dict[Key, tuple[int, str]]()
    for kind, table in TABLES.items():
        rows = await admin.fetch(f"SELECT org_id, id, version, right(tableoid::regclass::text, 7) FROM {table}")
        found |= {(kind, org, number): (version, month) for org, number, version, month in rows}
    assert found == expected
    archived = Counter(_archived(archives))
    assert left <= archived
    assert max(archived.values()) == 1
    assert left, "nothing was tried"


def _archived(folder: Path) -> Iterator[tuple[Key, int]]:
    """Each transaction in an archive, with its version."""
    for path in folder.glob("finance.*.gz"):
        kind = "revenue" if "revenues" in path.name else "expense"
        with gzip.open(path, "rt", newline="") as file:
            file.readline()
            for row in csv.DictReader(io.StringIO(file.read())):
                yield (kind, int(row["org_id"]), int(row["id"])), int(row["version"])
