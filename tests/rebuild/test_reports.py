"""The read models: what snapshots and balances say, made anew or brought up to date."""

from datetime import date, timedelta
from typing import Any, Final

from pipeline.rebuild.job import Order, Progress, run
from pipeline.rebuild.scope import Part
from tests.rebuild.conftest import Open
from tests.rebuild.test_books import changes, history
from tests.support.events import NOON, TODAY
from tests.support.ledger import Ledger

REPORTS: Final = frozenset({Part.REPORTS})
DAILY: Final = "SELECT * FROM read_models.daily_reports ORDER BY org_id, property_id, balance_date"
MONTHLY: Final = "SELECT * FROM read_models.monthly_summaries ORDER BY org_id, property_id, month"


async def refresh(ledger: Ledger, means: Open, **options: Any) -> Progress:
    async with means(ledger, Part.REPORTS) as found:
        return await run(found, Order(REPORTS, **options), "test", lambda _line: None)


async def said(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Every row of both, but for when it was written."""
    return [tuple(row)[:-1] for statement in (DAILY, MONTHLY) for row in await ledger.rows(statement)]


async def test_a_day_and_its_month(ledger: Ledger, means: Open) -> None:
    await ledger.commit(
        ledger.event(1, amount=100),
        ledger.event(2, amount=30, mode="bank"),
        ledger.event(3, amount=20, kind="expense"),
        ledger.event(4, amount=7, status="pending"),
        ledger.event(5, amount=9, status="rejected", verb="updated"),
        ledger.correction(day=TODAY, figures=(90, 30, 20, 0)),
        ledger.correction(day=TODAY + timedelta(days=1), declared=60),
    )
    await refresh(ledger, means)
    (day,) = await ledger.rows(DAILY)
    assert tuple(day)[2:-1] == (TODAY, 100, 30, 20, 0, 2, 1, 1, 7, 1, 9, 0, 1)
    (month,) = await ledger.rows(MONTHLY)
    # Opening, movements with the adjustment, last closing, discrepancy; days, counted ones, approved transactions.
    assert tuple(month)[2:-1] == (TODAY.replace(day=1), 0, 90, 30, 20, 0, 60, -10, 2, 1, 3)


async def test_what_was_refreshed_since_the_last_time_is_what_all_anew_would_say(ledger: Ledger, means: Open) -> None:
    await history(ledger, seed=1)
    await refresh(ledger, means, since_last=True)  # the first time is from the beginning
    whole = await said(ledger)
    assert changes(await refresh(ledger, means)) == {}
    for seed in (4, 5):
        await ledger.admin.execute("DELETE FROM ops.jobs")
        await more(ledger, seed)
        await refresh(ledger, means, since_last=True)
        refreshed = await said(ledger)
        assert changes(await refresh(ledger, means)) == {}
        assert await said(ledger) == refreshed != whole
    assert changes(await refresh(ledger, means, since_last=True)) == {}


async def more(ledger: Ledger, seed: int) -> None:
    """A transaction that moves to another day and property, one that is new, and a day that is counted."""
    await ledger.commit(
        ledger.event(500, 1, org=1, amount=5, at=NOON - timedelta(days=60 + seed)),
        ledger.event(501 + seed, 1, org=2, amount=6),
    )
    await ledger.commit(
        ledger.event(500, seed, org=1, property_=2, amount=7, at=NOON - timedelta(days=seed)),
        ledger.correction(org=3, property_=1, day=TODAY - timedelta(days=2), declared=1000 + seed),
    )


async def test_a_month_outlives_its_transactions(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    await refresh(ledger, means)
    before = await said(ledger)
    await ledger.admin.execute("TRUNCATE finance.revenues_partitioned, finance.expenses_partitioned")
    await refresh(ledger, means)
    assert await said(ledger) == before


async def test_a_day_that_nothing_stands_behind_goes(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    await refresh(ledger, means)
    await ledger.commit(ledger.event(1, 2, amount=100, at=NOON - timedelta(days=1)))
    await refresh(ledger, means, since_last=True)
    days: list[date] = [row["balance_date"] for row in await ledger.rows(DAILY)]
    assert days == [TODAY - timedelta(days=1)]


async def test_what_the_projections_know_is_written_down(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    await refresh(ledger, means, org=1)
    assert not await ledger.rows("SELECT FROM read_models.refreshes")  # of the others nothing is known
    await refresh(ledger, means)
    known = await ledger.rows(
        "SELECT lane FROM read_models.refreshes JOIN ops.lanes USING (lane) WHERE recorded_until = last_recorded_at"
    )
    assert [row["lane"] for row in known] == [0, 1]
