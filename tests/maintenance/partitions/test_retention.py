"""How many months the workers keep is recorded by them: no clean-up, check or rebuild goes by another number."""

import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from pipeline.clock import SystemClock
from pipeline.consistency.opening import means_of as means_of_check
from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.state import REVENUES
from pipeline.months import month_of, months_after, start_of
from pipeline.rebuild.opening import means_of as means_of_rebuild
from pipeline.rebuild.scope import Part
from pipeline.retention import require_same_retention, shorter_than_recorded
from pipeline.settings import BatchSettings, Settings
from tests.maintenance.partitions.conftest import Command, MakeLedger, months_of

NOW = datetime.now(UTC)
OLD = start_of(months_after(month_of(NOW), -5)) + timedelta(days=3)


def test_what_is_shorter_is_said_with_lanes_and_what_to_do() -> None:
    recorded = {0: 24, 1: 3, 2: 36, 3: 24}
    assert shorter_than_recorded(36, recorded) is None
    assert shorter_than_recorded(3, {}) is None
    said = shorter_than_recorded(23, recorded)
    assert said is not None
    assert (
        "FOLIO_BATCH_RETENTION_MONTHS is 23 here, and the workers keep 24 months (lanes 0, 3), 36 months (lane 2)"
        in said
    )
    assert "restart the workers with FOLIO_BATCH_RETENTION_MONTHS=23 first" in said


def test_who_judges_rows_must_keep_neither_more_nor_less() -> None:
    require_same_retention(24, {0: 24})
    require_same_retention(24, {})
    with pytest.raises(SettingsRefused, match=r"is 36 here, and the workers keep 24 months \(lane 0\)"):
        require_same_retention(36, {0: 24, 1: 36})


async def test_months_that_workers_keep_do_not_leave(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    ledger = await make_ledger(NOW)
    await ledger.commit(ledger.event(1, at=OLD))
    months = await months_of(admin, REVENUES)
    for command in ("plan", "apply"):
        refused = await partitions(command, BATCH_RETENTION_MONTHS="3")
        assert refused.returncode == 3, refused.stdout
        said = " ".join(refused.stderr.split())
        assert "FOLIO_BATCH_RETENTION_MONTHS is 3 here, and the workers keep 24 months (lanes 0, 1)" in said
        assert "restart the workers with FOLIO_BATCH_RETENTION_MONTHS=3 first" in said
    assert await months_of(admin, REVENUES) == months
    assert await admin.fetchval(f"SELECT count(*) FROM {REVENUES}") == 1


async def test_months_are_made_all_the_same_and_as_many_as_the_workers_need(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    await make_ledger(NOW)
    month = months_after(month_of(NOW), -20)
    await admin.execute(f"DROP TABLE finance.revenues_{month:%Y_%m}")
    assert (await partitions("apply", "--only", "create", BATCH_RETENTION_MONTHS="3")).returncode == 0
    assert f"{month:%Y_%m}" in await months_of(admin, REVENUES)


async def test_status_says_so_and_counts_no_month_that_is_kept(partitions: Command, make_ledger: MakeLedger) -> None:
    ledger = await make_ledger(NOW)
    await ledger.commit(ledger.event(1))
    status = await partitions("status", "--output", "json", BATCH_RETENTION_MONTHS="3")
    document = json.loads(status.stdout)
    assert status.returncode == 1
    assert "the workers keep 24 months" in document["retention_problem"]
    assert [table["cleanup_lag_months"] for table in document["tables"]] == [0, 0, 0]
    assert "the workers keep 24 months" in " ".join(
        (await partitions("status", BATCH_RETENTION_MONTHS="3")).stdout.split()
    )
    assert (await partitions("status")).returncode == 0


async def test_once_every_lane_has_a_worker_that_keeps_less_the_months_leave(
    partitions: Command, admin: asyncpg.Connection, make_ledger: MakeLedger
) -> None:
    before = await make_ledger(NOW)
    await before.commit(before.event(1, at=OLD))
    after = await make_ledger(NOW, retention_months=3)
    assert (await partitions("apply", BATCH_RETENTION_MONTHS="3")).returncode == 0
    assert f"{OLD:%Y_%m}" not in await months_of(admin, REVENUES)
    # To keep longer than the workers takes nothing away.
    assert (await partitions("apply")).returncode == 0
    # One lane that a worker with the longer one has taken over again is enough.
    await before.claim(1)
    refused = await partitions("apply", BATCH_RETENTION_MONTHS="3")
    assert (refused.returncode, "24 months (lane 1)" in " ".join(refused.stderr.split())) == (3, True)
    assert after.claims.keys() == {0, 1}


async def test_a_check_and_a_rebuild_go_by_what_the_workers_keep(make_ledger: MakeLedger, database: str) -> None:
    await make_ledger(NOW)
    for months in (3, 36):
        other = Settings(batch=BatchSettings(retention_months=months))
        with pytest.raises(SettingsRefused, match="the workers keep 24 months"):
            async with means_of_check(other, database, SystemClock(), lambda _point: None):
                pass
        with pytest.raises(SettingsRefused, match="the workers keep 24 months"):
            async with means_of_rebuild(other, database, Part, SystemClock(), lambda _point: None):
                pass
