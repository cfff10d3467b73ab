"""What the repositories answer on books that real batches have written, page by page, to one organisation."""

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from unittest.mock import ANY

import asyncpg
import pytest

from pipeline.errors import ReadRefused
from pipeline.storage.intent import Read
from pipeline.storage.values import (
    PAGE_ROWS_MAX,
    MonthSummary,
    Property,
    StoredVersion,
    Total,
    Transaction,
    TransactionKey,
)
from tests.storage.conftest import MakeLedger, Repositories
from tests.support.events import NOON, TODAY
from tests.support.ledger import Ledger

READ: Final = Read()
DAY: Final = timedelta(days=1)


# --- balances ---


async def test_a_day_is_what_its_row_says(ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(
        ledger.event(1, amount=500),
        ledger.event(2, kind="expense", amount=120),
        ledger.event(3, mode="bank", amount=70),
    )
    await ledger.commit(ledger.correction(declared=400))
    day = await repositories.balances.of_day(1, 1, TODAY, intent=READ)
    assert day is not None
    assert (day.balance_date, day.version, day.opening_balance_cents) == (TODAY, 2, 0)
    assert (day.cash_received_cents, day.cash_expenses_cents, day.bank_received_cents) == (500, 120, 70)
    assert (day.calculated_closing_balance_cents, day.declared_closing_cents, day.closing_balance_cents) == (
        380,
        400,
        400,
    )
    assert day.balance_discrepancy_cents == 20
    assert await repositories.balances.of_day(1, 1, TODAY - DAY, intent=READ) is None


async def test_the_latest_day_is_on_or_before_the_one_that_is_asked_for(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1, amount=1, at=NOON - 3 * DAY), ledger.event(2, amount=2, at=NOON - DAY))
    found = [await repositories.balances.latest(1, 1, TODAY + days * DAY, intent=READ) for days in (0, -1, -2, -3, -4)]
    assert [each and each.closing_balance_cents for each in found] == [3, 3, 1, 1, None]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
async def test_pages_hold_every_row_once_whatever_their_size(
    limit: int, ledger: Ledger, repositories: Repositories
) -> None:
    days = [TODAY - number * DAY for number in range(6)]
    # Two of each day occur at the same instant: their ids keep them apart.
    await ledger.commit(*(ledger.event(10 * n + twin, at=NOON - n * DAY) for n in range(6) for twin in (1, 2)))
    await ledger.commit(*(ledger.event(100 + n, at=NOON) for n in range(6)))
    shown: list[date] = []
    after = None
    while True:
        page = await repositories.balances.of_range(1, 1, days[-1], days[0], intent=READ, limit=limit, after=after)
        assert 1 <= len(page.items) <= limit
        shown += [balance.balance_date for balance in page.items]
        after = page.next
        if after is None:
            break
    assert shown == sorted(days)
    ids: list[int] = []
    key: TransactionKey | None = None
    while True:
        day = await repositories.transactions.of_day(1, 1, TODAY, "revenue", intent=READ, limit=limit, after=key)
        ids += [each.id for each in day.items]
        key = day.next
        if key is None:
            break
    assert ids == [1, 2, *range(100, 106)]


async def test_an_empty_page_ends(ledger: Ledger, repositories: Repositories) -> None:
    page = await repositories.balances.of_range(1, 1, TODAY, TODAY, intent=READ, limit=5)
    assert (page.items, page.next) == ((), None)


@pytest.mark.parametrize("limit", [0, -1, PAGE_ROWS_MAX + 1])
async def test_a_page_is_bounded(limit: int, repositories: Repositories) -> None:
    with pytest.raises(ReadRefused, match=f"a page of {limit} rows: 1 to 1,000"):
        await repositories.balances.of_range(1, 1, TODAY, TODAY, intent=READ, limit=limit)


@pytest.mark.parametrize("org", [-1, 2**63])
async def test_what_can_be_no_identifier_is_refused(org: int, repositories: Repositories) -> None:
    with pytest.raises(ReadRefused, match="no identifier"):
        await repositories.balances.of_day(org, 1, TODAY, intent=READ)
    with pytest.raises(ReadRefused, match="no identifier"):
        await repositories.balances.of_day(1, org, TODAY, intent=READ)


@pytest.mark.parametrize("day", [date.min, date.max])
async def test_the_ends_of_the_calendar_are_days_too(day: date, repositories: Repositories) -> None:
    assert await repositories.balances.of_day(1, 1, day, intent=READ) is None
    assert await repositories.reports.month(1, 1, day, intent=READ) is None


# --- transactions ---


async def test_a_transaction_is_found_by_its_id_wherever_it_went(ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(ledger.event(1, amount=100, category="room"))
    await ledger.commit(ledger.event(1, 2, amount=90, at=NOON - 40 * DAY, property_=2, description="moved"))
    found = await repositories.transactions.by_id(1, "revenue", 1, intent=READ)
    assert found == Transaction(
        kind="revenue",
        id=1,
        property_id=2,
        balance_date=TODAY - 40 * DAY,
        occurred_at=NOON - 40 * DAY,
        amount_cents=90,
        currency="INR",
        payment_mode="cash",
        status="approved",
        category=None,
        description="moved",
        bank_reference=None,
        source=None,
        version=2,
        created_by_user_id=7,
        created_by_name="Asha",
        created_at=ANY,
        approved_by_user_id=7,
        approved_at=ANY,
        updated_at=ANY,
    )
    assert await repositories.transactions.by_id(1, "expense", 1, intent=READ) is None
    assert await repositories.transactions.by_id(2, "revenue", 1, intent=READ) is None


async def test_past_retention_the_snapshot_tells(ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(ledger.event(1, amount=77, at=NOON - 900 * DAY, category="room"))
    found = await repositories.transactions.by_id(1, "revenue", 1, intent=READ)
    assert found is not None
    assert (found.amount_cents, found.currency, found.category, found.updated_at) == (77, "INR", None, None)


async def test_a_history_holds_every_stored_version_and_what_became_of_it(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1, 2, amount=20), ledger.event(1, 4, amount=40), ledger.event(1, kind="expense"))
    await ledger.commit(ledger.event(1, 3, amount=30))
    shown: list[StoredVersion] = []
    after = 0
    while True:
        page = await repositories.transactions.history(1, "revenue", 1, intent=READ, limit=2, after=after)
        shown += page.items
        if page.next is None:
            break
        after = page.next
    assert [(each.version, each.outcome) for each in shown] == [(2, "applied"), (3, "stale"), (4, "applied")]
    assert [each.event().data.amount_cents for each in shown] == [20, 30, 40]
    assert shown[0].event_data.startswith(b"{")


# --- reports ---


async def test_a_daily_report_adds_up(ledger: Ledger, repositories: Repositories) -> None:
    events = [
        ledger.event(number, kind=kind, mode=mode, status=status, amount=10 * number)
        for number, (kind, mode, status) in enumerate(
            itertools.product(("revenue", "expense"), ("cash", "bank"), ("approved", "pending")), 1
        )
    ]
    await ledger.commit(*events, ledger.event(99, at=NOON - DAY), ledger.event(98, property_=2))
    report = await repositories.reports.daily(1, 1, TODAY, intent=READ, limit=3)
    assert report is not None
    assert report.property == Property(1, None, "INR", 0)
    assert report.totals == (
        Total("expense", "bank", "approved", 1, 70),
        Total("expense", "bank", "pending", 1, 80),
        Total("expense", "cash", "approved", 1, 50),
        Total("expense", "cash", "pending", 1, 60),
        Total("revenue", "bank", "approved", 1, 30),
        Total("revenue", "bank", "pending", 1, 40),
        Total("revenue", "cash", "approved", 1, 10),
        Total("revenue", "cash", "pending", 1, 20),
    )
    assert report.balance is not None
    assert (report.balance.cash_received_cents, report.balance.bank_expenses_cents) == (10, 70)
    assert [each.id for each in report.revenues.items] == [1, 2, 3]
    assert {each.created_by_name for each in report.expenses.items} == {"Asha"}
    rest = await repositories.transactions.of_day(
        1, 1, TODAY, "revenue", intent=READ, limit=3, after=report.revenues.next
    )
    assert ([each.id for each in rest.items], rest.next) == ([4], None)


async def test_a_report_of_a_day_without_a_row_has_no_balance(ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(ledger.event(1))
    report = await repositories.reports.daily(1, 1, TODAY - DAY, intent=READ)
    assert report is not None
    assert (report.balance, report.totals, report.revenues.items) == (None, (), ())
    assert await repositories.reports.daily(1, 99, TODAY, intent=READ) is None


async def kept(repositories: Repositories, day: date, property_: int = 1) -> bool:
    report = await repositories.reports.daily(1, property_, day, intent=READ)
    assert report is not None
    return report.transactions_kept


async def test_a_report_says_that_a_day_is_past_retention(ledger: Ledger, repositories: Repositories) -> None:
    old = NOON - 900 * DAY
    await ledger.commit(ledger.event(1, amount=77, at=old), ledger.event(2))
    report = await repositories.reports.daily(1, 1, old.date(), intent=READ)
    assert report is not None
    assert report.balance is not None
    assert (report.balance.cash_received_cents, report.revenues.items) == (77, ())
    assert (report.transactions_kept, await kept(repositories, TODAY)) == (False, True)


async def test_a_day_at_the_edge_is_kept_where_all_of_it_came_after(ledger: Ledger, repositories: Repositories) -> None:
    """The month's first hours in India are of the month before, in UTC, which leaves."""
    await ledger.admin.execute(
        "INSERT INTO finance.properties VALUES (1, 2, NULL, 'USD', 0, false, now());"
        "INSERT INTO finance.property_time_zones VALUES (1, 2, '0001-01-01 00:00:00+00', 'America/New_York');"
    )
    await ledger.commit(ledger.event(1))
    edge = date(TODAY.year - 2, TODAY.month, 1)
    assert [await kept(repositories, edge + days * DAY) for days in (-1, 0, 1)] == [False, False, True]
    assert [await kept(repositories, edge + days * DAY, 2) for days in (-1, 0, 1)] == [False, True, True]


async def test_a_report_says_that_a_month_has_left(ledger: Ledger, repositories: Repositories) -> None:
    """Whatever is recorded now of how long transactions are kept: a month that left has left."""
    at = NOON - 40 * DAY
    await ledger.commit(ledger.event(1, amount=5, at=at), ledger.event(2))
    assert await kept(repositories, at.date())
    month = at.date().replace(day=1)
    await ledger.admin.execute("SELECT ops.ensure_month('finance.expenses_partitioned', 'occurred_at', $1)", month)
    await ledger.admin.execute("SELECT ops.detach_month('finance.expenses_partitioned', $1, false)", month)
    try:
        days = [at.date(), month - DAY, date(2026, 3, 1), TODAY]
        assert [await kept(repositories, day) for day in days] == [False, False, True, True]
    finally:
        await ledger.admin.execute("SELECT ops.drop_expired_month('finance.expenses_partitioned', $1)", month)
        await ledger.admin.execute("DELETE FROM ops.expired_months")
        await ledger.admin.execute("SELECT ops.ensure_month('finance.expenses_partitioned', 'occurred_at', $1)", month)


async def test_a_day_that_was_too_old_under_fewer_months_stays_without_its_transactions(
    make_ledger: MakeLedger, repositories: Repositories
) -> None:
    fewer = await make_ledger(retention_months=3)
    await fewer.commit(*(fewer.event(number, org=number, at=NOON - 130 * DAY) for number in range(1, 5)))
    for months in (24, 36):
        more = Ledger(fewer.url, fewer.admin, retention_months=months)
        await more.claim()
        assert not await kept(repositories, (NOON - 130 * DAY).date())
        assert await kept(repositories, (NOON - 60 * DAY).date())
        more.books.discard()


async def test_where_nothing_is_recorded_and_nothing_has_left_every_day_is_kept(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1))
    await ledger.admin.execute("UPDATE ops.lanes SET retention_months = NULL")
    assert await kept(repositories, date(1990, 1, 1))


async def test_the_balance_date_decides_and_not_the_day_of_utc(ledger: Ledger, repositories: Repositories) -> None:
    """At half past midnight in India it is still yesterday in UTC, and last month on the first."""
    first_of_march = datetime(2026, 2, 28, 19, 0, tzinfo=UTC)
    await ledger.commit(ledger.event(1, at=first_of_march))
    report = await repositories.reports.daily(1, 1, date(2026, 3, 1), intent=READ)
    assert report is not None
    assert [each.id for each in report.revenues.items] == [1]


async def test_an_overview_has_every_property_with_its_latest_day(ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(
        *(ledger.event(number, property_=number, amount=number, at=NOON - number * DAY) for number in range(1, 6)),
        ledger.event(6, property_=6, status="pending"),
        ledger.event(7, property_=1, org=2),
    )
    shown: list[tuple[int, int | None]] = []
    after = 0
    while True:
        page = await repositories.reports.overview(1, TODAY - 3 * DAY, intent=READ, limit=4, after=after)
        for line in page.items:
            closing = line.latest.closing_balance_cents if line.latest is not None else None
            shown.append((line.property.property_id, closing))
        if page.next is None:
            break
        after = page.next
    assert shown == [(1, None), (2, None), (3, 3), (4, 4), (5, 5), (6, None)]


async def test_a_month_adds_up_its_days_and_opens_with_the_one_before(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1, amount=1000, at=NOON - 20 * DAY))  # the 18th of February
    await ledger.commit(ledger.event(2, amount=50), ledger.event(3, kind="expense", amount=20, at=NOON + DAY / 2))
    await ledger.commit(ledger.correction(declared=1049))
    assert await repositories.reports.month(1, 1, TODAY, intent=READ) == MonthSummary(
        property_id=1,
        month=date(2026, 3, 1),
        opening_balance_cents=1000,
        cash_received_cents=50,
        bank_received_cents=0,
        cash_expenses_cents=20,
        bank_expenses_cents=0,
        closing_balance_cents=1029,
        balance_discrepancy_cents=-1,
        days_with_a_row=2,
        days_counted=1,
    )
    april = await repositories.reports.month(1, 1, date(2026, 4, 9), intent=READ)
    assert april is not None
    assert (april.opening_balance_cents, april.closing_balance_cents, april.days_with_a_row) == (1029, 1029, 0)
    assert await repositories.reports.month(1, 1, date(2026, 1, 9), intent=READ) is None


# --- names ---


async def names(ledger: Ledger) -> dict[tuple[int, int], str]:
    rows = await ledger.rows("SELECT org_id, user_id, display_name FROM read_models.users")
    return {(row[0], row[1]): row[2] for row in rows}


def named(ledger: Ledger, number: int, name: str | None, **kwargs: Any) -> Any:
    """The next event, recorded by user 7 under another name."""
    event = ledger.event(number, **kwargs)
    recorded_by = type(event.event.recorded_by)(7, name)
    content = {field: getattr(event.event, field) for field in event.event.__struct_fields__}
    changed = type(event.event)(**(content | {"recorded_by": recorded_by}))
    return type(event)(event.origin, changed, event.key, event.content_hash, event.occurred_at, event.appended_at)


async def test_the_newest_name_counts_and_silence_takes_none_away(ledger: Ledger) -> None:
    await ledger.commit(named(ledger, 1, "Asha"), named(ledger, 2, "Asha Rao"), named(ledger, 3, None))
    assert await names(ledger) == {(1, 7): "Asha Rao"}
    await ledger.commit(named(ledger, 4, "Asha"))
    assert await names(ledger) == {(1, 7): "Asha"}


async def test_a_name_that_another_writer_changed_is_written_again(make_ledger: MakeLedger) -> None:
    """One lane each: what comes by the wrong lane is written by its owner, under the home lane's lock."""
    ledger, other = await make_ledger(), await make_ledger()
    home = next(lane for lane in (0, 1) if ledger.event(1).origin.lane == lane)
    await ledger.claim(home)
    await other.claim(1 - home)
    await ledger.commit(named(ledger, 2, "Asha"))
    await other.commit(named(other, 3, "Asha Rao", lane=1 - home))
    assert await names(ledger) == {(1, 7): "Asha Rao"}
    await ledger.commit(named(ledger, 4, "Asha"))
    assert await names(ledger) == {(1, 7): "Asha"}


async def test_a_name_is_written_once(ledger: Ledger) -> None:
    await ledger.commit(named(ledger, 1, "Asha"))
    first = await ledger.value("SELECT xmin::text FROM read_models.users")
    await ledger.commit(named(ledger, 2, "Asha"))
    await ledger.claim()  # a new session remembers nothing, and the statement leaves what is the same
    await ledger.commit(named(ledger, 3, "Asha"))
    assert await ledger.value("SELECT xmin::text FROM read_models.users") == first


# --- tenants ---


async def test_a_read_sees_its_organisation_alone_and_leaves_nothing_behind(
    ledger: Ledger, repositories: Repositories, pool: asyncpg.Pool
) -> None:
    await ledger.commit(ledger.event(1), ledger.event(2, org=2))

    async def every_org(connection: asyncpg.Connection) -> list[int]:
        return [row[0] for row in await connection.fetch("SELECT DISTINCT org_id FROM event_store.snapshots")]

    assert await repositories.reads.together(1, READ, every_org) == [1]
    assert await repositories.reads.together(2, READ, every_org) == [2]
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT current_setting('folio.org_id', true)") in ("", None)
        assert await connection.fetchval("SELECT current_user") != "folio_reader"


async def test_a_read_writes_nothing(repositories: Repositories) -> None:
    async def write(connection: asyncpg.Connection) -> str:
        return await connection.execute("CREATE TEMPORARY TABLE stolen (org_id bigint)")

    with pytest.raises(Exception, match="read-only transaction"):
        await repositories.reads.together(1, READ, write)
