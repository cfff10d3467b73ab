"""The night audit on a real database, and which day has ended where."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from pipeline.consistency.job import Order, run
from pipeline.consistency.metrics import consistency_registry, consistency_state
from pipeline.consistency.night_audit import Finding, audit_night, ended_days
from tests.consistency.conftest import Open
from tests.support.events import NOON, TODAY
from tests.support.ledger import Ledger

YESTERDAY = TODAY - timedelta(days=1)


@pytest.mark.parametrize(
    ("now", "wanted", "expected"),
    [
        (datetime(2026, 3, 10, 18, 29, tzinfo=UTC), None, {"Asia/Kolkata": date(2026, 3, 9), "UTC": date(2026, 3, 9)}),
        (datetime(2026, 3, 10, 18, 30, tzinfo=UTC), None, {"Asia/Kolkata": date(2026, 3, 10), "UTC": date(2026, 3, 9)}),
        (datetime(2026, 3, 10, 18, 30, tzinfo=UTC), date(2026, 3, 10), {"Asia/Kolkata": date(2026, 3, 10)}),
        (datetime(2026, 3, 10, 18, 30, tzinfo=UTC), date(2026, 3, 11), {}),
    ],
)
def test_a_day_ends_by_the_calendar_of_its_property(
    now: datetime, wanted: date | None, expected: dict[str, date]
) -> None:
    assert ended_days(["Asia/Kolkata", "UTC"], now, wanted) == expected


async def test_what_does_not_agree_and_what_nobody_counted_is_reported(ledger: Ledger, means: Open) -> None:
    await ledger.commit(
        ledger.event(1, org=1, at=NOON - timedelta(days=1), amount=100),  # counted, and short
        ledger.event(1, org=2, at=NOON - timedelta(days=1), amount=40),  # counted, and right
        ledger.event(1, org=3, at=NOON - timedelta(days=1), amount=70),  # not counted
        ledger.event(1, org=4, at=NOON - timedelta(days=1), amount=70, mode="bank"),  # no cash moved
        ledger.event(1, org=5, at=NOON, amount=9),  # the day lasts
        ledger.correction(org=1, day=YESTERDAY, declared=97),
        ledger.correction(org=2, day=YESTERDAY, declared=40),
    )
    before = await ledger.rows("SELECT * FROM finance.daily_cash_balances_partitioned ORDER BY org_id, balance_date")
    async with means(ledger) as opened:
        audit = await audit_night(opened, None)
        nothing = await audit_night(opened, TODAY)
    assert (audit.properties, audit.not_ended) == (5, 0)
    assert audit.worst == [
        Finding(3, 1, YESTERDAY, "missing_count", 70),
        Finding(1, 1, YESTERDAY, "discrepancy", -3),
    ]
    assert (audit.days, audit.cents) == (
        {"missing_count": 1, "discrepancy": 1},
        {"missing_count": 70, "discrepancy": 3},
    )
    assert (nothing.not_ended, nothing.days) == (5, {})
    reports = await ledger.rows(
        "SELECT report_id, body ->> 'properties' AS properties FROM ops.reports ORDER BY created_at"
    )
    assert [tuple(row) for row in reports] == [(audit.report_id, "5"), (nothing.report_id, "5")]
    rows = "SELECT * FROM finance.daily_cash_balances_partitioned ORDER BY org_id, balance_date"
    assert await ledger.rows(rows) == before


async def test_what_checks_have_left_is_told_as_metrics(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1))
    await ledger.admin.execute("DELETE FROM finance.daily_cash_balances_partitioned")
    never = consistency_registry(await consistency_state(ledger.admin))
    assert never.get_sample_value("folio_check_finished_timestamp_seconds") == 0
    async with means(ledger) as opened:
        await run(opened, Order(), "test", lambda _line: None)
    connection = await asyncpg.connect(ledger.url)
    try:
        registry = consistency_registry(await consistency_state(connection))
    finally:
        await connection.close()
    assert registry.get_sample_value("folio_open_drifts", {"kind": "balance"}) == 1
    assert registry.get_sample_value("folio_open_drifts", {"kind": "snapshot"}) == 0
    assert registry.get_sample_value("folio_check_transactions") == 1
    assert (registry.get_sample_value("folio_check_finished_timestamp_seconds") or 0) > 0
