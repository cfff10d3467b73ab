"""`folio partitions` on a real database: what it makes and takes away, what it says, and killed at every step."""

import asyncio
import csv
import gzip
import io
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from pipeline.crash import PARTITION_POINTS
from pipeline.maintenance.partitions.state import EVENTS, EXPENSES, REVENUES
from pipeline.months import month_of, months_after, start_of
from tests.maintenance.partitions.conftest import Command, MakeLedger, months_of, move

NOW = datetime.now(UTC)
THIS_MONTH = month_of(NOW)
LATER = start_of(months_after(THIS_MONTH, 1)) + timedelta(days=14)  # a month is past retention then
LEAVING = months_after(THIS_MONTH, -24)
NAME = f"{LEAVING:%Y_%m}"
IN_LEAVING = start_of(LEAVING) + timedelta(days=3)
STORE_POINTS = {"versions_kept", "month_restoring", "month_restored"}  # only months of the event store come to them


async def fill(make_ledger: MakeLedger) -> None:
    """Two revenues and an expense in the month that leaves, a revenue of now; the newest record is of LATER."""
    ledger = await make_ledger(NOW)
    await ledger.commit(
        ledger.event(1, at=IN_LEAVING, amount=10, description='two "words",\nand a line'),
        ledger.event(2, at=IN_LEAVING, amount=20),
        ledger.event(3, kind="expense", at=IN_LEAVING, amount=5),
        ledger.event(4, at=NOW, amount=40),
    )
    move(ledger, LATER)
    await ledger.commit(ledger.event(5, at=LATER, amount=50))


async def ids(admin: asyncpg.Connection) -> list[int]:
    rows = await admin.fetch(f"SELECT id FROM {REVENUES} UNION ALL SELECT id FROM {EXPENSES} ORDER BY id")
    return [row[0] for row in rows]


def rows_of(archive: Path) -> list[dict[str, str]]:
    """As anybody reads an archive: without the first line it is CSV."""
    with gzip.open(archive, "rt", newline="") as file:
        file.readline()
        return list(csv.DictReader(io.StringIO(file.read())))


async def test_a_fresh_database_is_well_and_there_is_nothing_to_do(partitions: Command) -> None:
    status, planned, applied = await partitions("status"), await partitions("plan"), await partitions("apply")
    assert [each.returncode for each in (status, planned, applied)] == [0, 0, 0], status.stderr + applied.stderr
    assert status.stdout.splitlines()[-1] == "partitions are as they must be"
    assert (planned.stdout, applied.stdout) == ("nothing to do\n", "nothing to do\n")


async def test_what_is_planned_is_what_is_done_and_signed(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    await fill(make_ledger)
    planned = json.loads((await partitions("plan", "--output", "json", at=LATER)).stdout)["steps"]
    assert [step["step"] for step in planned] == ["MakeMonth"] * 3 + ["DetachMonth", "DropMonth"] * 2
    assert NAME in await months_of(admin, REVENUES), "a plan changes nothing"
    applied = await partitions("apply", "--output", "json", at=LATER)
    assert applied.returncode == 0, applied.stderr
    done = json.loads(applied.stdout)["done"]
    assert [step["step"] for step in done] == [step["words"] for step in planned]
    assert [step["rows"] for step in done] == [0, 0, 0, 0, 1, 0, 2]
    assert await ids(admin) == [4, 5]
    signed = await admin.fetch("SELECT command, detail->>'step' FROM ops.operator_audit ORDER BY audit_id")
    assert [tuple(row) for row in signed] == [("partitions apply", step["words"]) for step in planned]
    expired = await admin.fetch("SELECT parent, month, row_count FROM ops.expired_months ORDER BY 1")
    assert [tuple(row) for row in expired] == [(EXPENSES, LEAVING, 1), (REVENUES, LEAVING, 2)]
    assert (await partitions("status", at=LATER)).returncode == 0


async def test_each_purpose_can_be_asked_for_alone(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    await fill(make_ledger)
    ahead = f"{months_after(THIS_MONTH, 4):%Y_%m}"
    assert (await partitions("apply", "--only", "expire", at=LATER)).returncode == 0
    months = await months_of(admin, REVENUES)
    assert (NAME in months, ahead in months) == (False, False)
    assert (await partitions("apply", "--only", "create", at=LATER)).returncode == 0
    assert ahead in await months_of(admin, REVENUES)


async def test_an_archive_is_what_anybody_can_read(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    await fill(make_ledger)
    before = await admin.fetch(f"SELECT id, description FROM {REVENUES} WHERE occurred_at < $1", NOW)
    applied = await partitions("apply", "--archive", str(partitions.archives), at=LATER)
    assert applied.returncode == 0, applied.stderr
    expenses, revenues = sorted(partitions.archives.iterdir())
    rows = rows_of(revenues)
    assert [(int(row["id"]), row["description"] or None) for row in rows] == [tuple(row) for row in before]
    shown = await partitions("show", str(revenues), "--output", "json")
    header = json.loads(shown.stdout)
    assert (header["table"], header["month"], header["rows"]) == (REVENUES, str(LEAVING), 2)
    recorded = await admin.fetch("SELECT archive, encode(archive_sha256, 'hex'), row_count FROM ops.expired_months")
    assert (revenues.name, header["sha256"], 2) in [tuple(row) for row in recorded]
    assert expenses.name.startswith(f"{EXPENSES}-{LEAVING:%Y-%m}-")
    refused = await partitions("restore", str(revenues), at=LATER)
    assert refused.returncode == 3
    assert "they do not come back" in refused.stderr


@pytest.mark.parametrize("damage", ["cut off", "a byte", "another table", "no archive"])
async def test_a_damaged_archive_is_refused(
    partitions: Command, make_ledger: MakeLedger, admin: asyncpg.Connection, damage: str
) -> None:
    await fill(make_ledger)
    await partitions("apply", "--archive", str(partitions.archives), at=LATER)
    archive = max(partitions.archives.iterdir())
    with gzip.open(archive) as file:
        first, rest = file.readline(), file.read()
    damaged = {
        "cut off": archive.read_bytes()[:-20],
        "a byte": gzip.compress(first) + gzip.compress(rest.replace(b"words", b"wordz")),
        "another table": gzip.compress(first.replace(b"revenues", b"balances") + rest),
        "no archive": b"id,amount\n",
    }
    archive.write_bytes(damaged[damage])
    shown = await partitions("show", str(archive))
    assert shown.returncode == 3
    assert archive.name in shown.stderr.replace("\n", "")


async def test_killed_at_any_point_the_next_run_finishes(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    """Each month another point: a revenue and an expense leave, and a revenue whose month had left before it came."""
    points = [point for point in PARTITION_POINTS if point not in STORE_POINTS]
    ledger = await make_ledger(NOW)
    leaving = [
        IN_LEAVING + (start_of(months_after(LEAVING, place)) - start_of(LEAVING)) for place in range(len(points))
    ]
    events = [(2 * place + kind, at, kind) for place, at in enumerate(leaving) for kind in (0, 1)]
    kinds = ("revenue", "expense")
    await ledger.commit(*(ledger.event(number + 1, at=at, kind=kinds[kind]) for number, at, kind in events))
    apply = ("apply", "--archive", str(partitions.archives))
    for place, point in enumerate(points):
        now = start_of(months_after(THIS_MONTH, place + 1)) + timedelta(days=14)
        await admin.execute("UPDATE ops.lanes SET last_appended_at = $1", now)
        await _put_into_default(admin, 100 + place)
        killed = await partitions(*apply, at=now, WORKER_CRASH_AT=point)
        assert (killed.returncode, f"crash point reached: {point}" in killed.stderr) == (-signal.SIGKILL, True), point
        finished = await partitions(*apply, at=now)
        assert finished.returncode == 0, (point, finished.stderr)
        assert await ids(admin) == list(range(2 * place + 3, 2 * len(points) + 1)), point
        archived = [int(row["id"]) for path in partitions.archives.glob("*.gz") for row in rows_of(path)]
        assert sorted(archived) == [*range(1, 2 * place + 3), *range(100, 101 + place)], point
        assert {path.suffix for path in partitions.archives.iterdir()} == {".gz"}, "nothing unfinished is left"
        rows = await admin.fetch("SELECT row_count, archive, dropped_at IS NOT NULL FROM ops.expired_months")
        assert {(row[0], bool(row[1]), row[2]) for row in rows} == {(1, True, True)}, point
    left = await admin.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE '%expired' AND relkind = 'r'")
    assert left == 0


async def _put_into_default(admin: asyncpg.Connection, number: int) -> None:
    """As of a record that waited while its month left."""
    row = "1, '2024-03-10', 5, 'INR', 'cash', 'approved', NULL, NULL, NULL, NULL, 1, 7, now(), 7, now(), now()"
    before = IN_LEAVING - timedelta(days=70)
    await admin.execute(f"INSERT INTO {REVENUES} VALUES (1, {number}, $1, {row})", before)


async def test_months_of_the_store_go_to_an_archive_and_come_back(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    await fill(make_ledger)
    far = LATER + timedelta(days=200)
    await admin.execute("UPDATE ops.lanes SET last_appended_at = $1", far)
    stored = await admin.fetch(f"SELECT * FROM {EVENTS} ORDER BY recorded_at")
    refused = await partitions("apply", "--events-older-than", "3", at=far)
    assert refused.returncode == 3
    assert "--archive" in refused.stderr
    told = ("apply", "--events-older-than", "3", "--archive", str(partitions.archives))
    killed = await partitions(*told, at=far, WORKER_CRASH_AT="versions_kept")
    assert (killed.returncode, await admin.fetchval(f"SELECT count(*) FROM {EVENTS}")) == (-signal.SIGKILL, 5)
    assert (await partitions(*told, at=far)).returncode == 0
    assert await admin.fetchval(f"SELECT count(*) FROM {EVENTS}") == 0
    assert await admin.fetchval("SELECT count(*) FROM ops.archived_versions") == 5
    archives = sorted(partitions.archives.glob("event_store.events-*.gz"))
    assert [len(rows_of(archive)) for archive in archives if rows_of(archive)] == [4, 1]
    killed = await partitions("restore", str(archives[0]), at=far, WORKER_CRASH_AT="month_restoring")
    assert killed.returncode == -signal.SIGKILL
    killed = await partitions("restore", str(archives[1]), at=far, WORKER_CRASH_AT="month_restored")
    assert killed.returncode == -signal.SIGKILL
    again = await partitions("restore", str(archives[1]), at=far)
    assert (again.returncode, "there is nothing to restore" in again.stderr) == (3, True)
    renamed = archives[0].rename(partitions.archives / "kept elsewhere.gz")
    for archive in (renamed, *archives[2:]):
        assert (await partitions("restore", str(archive), at=far)).returncode == 0
    assert await admin.fetch(f"SELECT * FROM {EVENTS} ORDER BY recorded_at") == stored
    assert (
        await admin.fetchval(
            "SELECT count(*) FROM ops.expired_months WHERE restored_at IS NULL AND parent = $1", EVENTS
        )
        == 0
    )
    month = f"event_store.events_{THIS_MONTH:%Y_%m}"
    assert await admin.fetchval(f"SELECT count(*) FROM {month}") == 4
    assert await admin.fetchval("SELECT count(*) FROM pg_constraint WHERE conname = 'one_month'") == 0


async def test_what_was_to_be_archived_is_not_dropped_without(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    await fill(make_ledger)
    apply = ("apply", "--archive", str(partitions.archives))
    assert (await partitions(*apply, at=LATER, WORKER_CRASH_AT="month_detached")).returncode == -signal.SIGKILL
    refused = await partitions("apply", at=LATER)
    assert (refused.returncode, "name a folder with --archive" in refused.stderr) == (3, True)
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="is not archived: its 1 rows are kept"):
        await admin.execute(f"SELECT ops.drop_expired_month('{EXPENSES}', $1)", LEAVING)
    missing = await partitions("apply", "--archive", str(partitions.folder / "nowhere"), at=LATER)
    assert (missing.returncode, "No such file or directory" in missing.stderr) == (3, True)
    assert await admin.fetchval(f"SELECT count(*) FROM finance.expenses_{NAME}_expired") == 1


async def test_of_two_runs_one_works_and_the_other_says_so(partitions: Command, admin: asyncpg.Connection) -> None:
    await admin.execute("SELECT pg_advisory_lock($1)", 0x464F4C4D)
    second = await partitions("apply")
    assert (second.returncode, second.stdout) == (1, "another run is at work: nothing was done\n")


async def test_a_lock_that_is_not_to_be_had_is_given_up_and_its_holder_named(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger, database: str
) -> None:
    await fill(make_ledger)
    holder = await asyncpg.connect(database, server_settings={"application_name": "a report"})
    try:
        async with holder.transaction():
            await holder.fetch(f"SELECT FROM {EXPENSES}")
            failed = await partitions(
                "apply",
                "--only",
                "expire",
                at=LATER,
                PARTITIONS_LOCK_TIMEOUT_MS="20",
                PARTITIONS_LOCK_ATTEMPTS="2",
            )
    finally:
        await holder.close()
    assert failed.returncode == 4
    assert "no lock in 2 attempts of 20 ms each; transactions on the table: a report (pid" in " ".join(
        failed.stderr.split()
    )
    assert NAME in await months_of(admin, EXPENSES)


async def test_while_it_waits_for_a_lock_nobody_waits_long_behind_it(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger, database: str
) -> None:
    """A report holds the table for two seconds; whoever writes meanwhile stands behind us a fifth of one at most."""
    await fill(make_ledger)
    ledger = await make_ledger(LATER)
    for lane in ledger.lanes.values():
        lane.next = 100
    loop, longest = asyncio.get_running_loop(), 0.0
    holder = await asyncpg.connect(database)
    try:
        async with holder.transaction():
            await holder.fetch(f"SELECT FROM {EXPENSES}")
            applying = asyncio.create_task(partitions("apply", "--only", "expire", at=LATER))
            ends, number = loop.time() + 2, 10
            while (began := loop.time()) < ends:
                await ledger.commit(ledger.event(number := number + 1, kind="expense", at=LATER))
                longest = max(longest, loop.time() - began)
    finally:
        await holder.close()
    applied = await applying
    assert applied.returncode == 0, applied.stderr
    assert "LockNotAvailableError" in applied.stderr, "there was nothing to wait for"
    # Behind a wait without bound it would stand until the report is through, which here is never.
    assert longest < 3, f"a batch took {longest:.3f} s"


async def test_a_step_that_takes_too_long_is_given_up_and_the_setting_named(
    partitions: Command, admin: asyncpg.Connection
) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{NAME}")
    failed = await partitions("apply", PARTITIONS_STEP_SECONDS_MAX="0.001")
    assert failed.returncode == 4
    assert "FOLIO_PARTITIONS_STEP_SECONDS_MAX" in " ".join(failed.stderr.split())
    assert NAME not in await months_of(admin, REVENUES)


async def test_off_it_changes_nothing_and_names_the_flag(partitions: Command) -> None:
    refused, planned, status = [
        await partitions(command, FLAGS_ENABLE_PARTITION_MAINTENANCE="off") for command in ("apply", "plan", "status")
    ]
    assert (refused.returncode, "FOLIO_FLAGS_ENABLE_PARTITION_MAINTENANCE is off" in refused.stderr) == (3, True)
    assert (planned.returncode, status.returncode) == (0, 0)


async def test_monitoring_reads_the_same_as_people(partitions: Command, admin: asyncpg.Connection) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{months_after(THIS_MONTH, 1):%Y_%m}")
    status = await partitions("status", "--output", "prometheus")
    assert status.returncode == 1
    lines = dict(line.rsplit(" ", 1) for line in status.stdout.splitlines() if not line.startswith("#"))
    days = (start_of(months_after(THIS_MONTH, 1)) - datetime.now(UTC)) / timedelta(days=1)
    assert float(lines[f'folio_partition_runway_days{{table="{REVENUES}"}}']) == pytest.approx(days, abs=0.01)
    said = json.loads((await partitions("status", "--output", "json")).stdout)
    problems = [problem for table in said["tables"] for problem in table["problems"]]
    assert problems == [f"{REVENUES}: the next month is missing; run `folio partitions apply`"]


async def test_the_plan_for_another_modulus_is_shown_and_changes_nothing(partitions: Command) -> None:
    shown = json.loads((await partitions("plan", "--modulus", "32", "--output", "json")).stdout)
    assert (len(shown["splits"]), shown["modulus"]) == (32, 32)
    assert (await partitions("plan", "--modulus", "24")).returncode == 3
