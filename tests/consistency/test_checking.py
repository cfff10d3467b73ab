"""A check finds exactly the rows that somebody has hurt, whichever stand beside them."""

from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest

from pipeline.consistency.job import Order, Progress, run
from pipeline.consistency.recording import open_drifts
from pipeline.errors import SettingsRefused
from tests.consistency.conftest import Open
from tests.rebuild.test_books import history
from tests.support.events import NOON, TODAY
from tests.support.ledger import Ledger

FULL: Final = Order(full=True)
EVERY_BYTE: Final = Order(every_byte=True)
YESTERDAY = TODAY - timedelta(days=1)
TOMORROW = TODAY + timedelta(days=1)


async def check(ledger: Ledger, means: Open, order: Order = FULL, **options: int) -> Progress:
    async with means(ledger, **options) as found:
        _, progress = await run(found, order, "test", lambda _line: None)
    return progress


async def found(ledger: Ledger, means: Open, order: Order = FULL, **options: int) -> dict[tuple[str, str], list[str]]:
    """Check, and what stands open then: by kind and subject the columns that differ."""
    ledger.clock.pass_seconds(1)
    await check(ledger, means, order, **options)
    return {(each.kind, each.subject): list(each.differs) for each in await open_drifts(ledger.admin, 0, 10_000)}


async def three_days(ledger: Ledger) -> None:
    """Three days of a property, the second one counted, and a pending expense; another organisation beside it."""
    await ledger.commit(
        ledger.event(1, at=NOON - timedelta(days=1), amount=100),
        ledger.event(2, at=NOON, amount=50, mode="bank"),
        ledger.event(3, at=NOON + timedelta(days=1), amount=20, kind="expense"),
        ledger.event(4, at=NOON, amount=9, kind="expense", status="pending"),
        ledger.event(1, org=2, amount=7),
        ledger.correction(day=TODAY, declared=90),
    )
    await ledger.commit(ledger.event(1, 2, at=NOON - timedelta(days=1), amount=120))


class _Killed(Exception):
    pass


def _kill(_line: str) -> None:
    raise _Killed


@pytest.mark.parametrize("options", [{}, {"slice_transactions_max": 1}])
async def test_right_books_have_no_drift(ledger: Ledger, means: Open, options: dict[str, Any]) -> None:
    await history(ledger)
    await ledger.admin.execute("ANALYZE event_store.snapshots")
    progress = await check(ledger, means, **options)
    assert progress.drifts == {}
    assert progress.slices == (1 if not options else 16)
    assert progress.transactions == await ledger.value("SELECT count(*) FROM event_store.snapshots")
    assert await found(ledger, means) == {}


_BALANCE = "finance.daily_cash_balances_partitioned"
_MOVED = (
    "cash_received_cents = cash_received_cents + 5, "
    "calculated_closing_balance_cents = calculated_closing_balance_cents + 5"
)
_THE_SNAPSHOT = "WHERE org_id = 1 AND aggregate_id = 1"
# What is hurt, and what must be found, and nothing else.
HURTS: Final[dict[str, tuple[str, dict[tuple[str, str], list[str]]]]] = {
    "movements": (
        (
            f"UPDATE {_BALANCE} SET {_MOVED}, closing_balance_cents = closing_balance_cents + 5 "
            f"WHERE org_id = 1 AND balance_date = '{YESTERDAY}'"
        ),
        {("balance", f"property 1 {YESTERDAY}"): ["cash_received_cents"]},
    ),
    "an opening": (
        (
            f"UPDATE {_BALANCE} SET opening_balance_cents = opening_balance_cents + 9, "
            "calculated_closing_balance_cents = calculated_closing_balance_cents + 9, "
            f"closing_balance_cents = closing_balance_cents + 9 WHERE org_id = 1 AND balance_date = '{YESTERDAY}'"
        ),
        {("balance", f"property 1 {YESTERDAY}"): ["opening_balance_cents"]},
    ),
    "a count": (
        (
            f"UPDATE {_BALANCE} SET declared_closing_cents = 70, closing_balance_cents = 70, "
            "balance_discrepancy_cents = 70 - calculated_closing_balance_cents "
            f"WHERE org_id = 1 AND balance_date = '{TODAY}'"
        ),
        {("balance", f"property 1 {TODAY}"): ["declared_closing_cents"]},
    ),
    "a day that is gone": (
        f"DELETE FROM {_BALANCE} WHERE org_id = 1 AND balance_date = '{YESTERDAY}'",
        {("balance", f"property 1 {YESTERDAY}"): ["missing"]},
    ),
    "a day too many": (
        (
            f"INSERT INTO {_BALANCE} "
            "SELECT org_id, property_id, balance_date + 9, 1, 70, 1, 0, 0, 0, 71, NULL, 71, 0, NULL, "
            f"updated_at FROM {_BALANCE} WHERE org_id = 1 AND balance_date = '{TOMORROW}'"
        ),
        {("balance", f"property 1 {TOMORROW + timedelta(days=9)}"): ["cash_received_cents"]},
    ),
    "a snapshot's amount": (
        f"UPDATE event_store.snapshots SET amount_cents = 1, contribution_cents = 1 {_THE_SNAPSHOT}",
        {("snapshot", "revenue 1"): ["amount_cents"]},
    ),
    "a snapshot's day": (
        f"UPDATE event_store.snapshots SET balance_date = '{TODAY}' WHERE org_id = 1 AND aggregate_id = 1",
        {("snapshot", "revenue 1"): ["balance_date"]},
    ),
    "a snapshot's status": (
        "UPDATE event_store.snapshots SET status = 'rejected' WHERE org_id = 1 AND aggregate_id = 4",
        {("snapshot", "expense 4"): ["status"]},
    ),
    "a snapshot's hash": (
        "UPDATE event_store.snapshots SET content_hash = '\\x00' WHERE org_id = 1 AND aggregate_id = 1",
        {("snapshot", "revenue 1"): ["content_hash"]},
    ),
    "a snapshot that is behind": (
        "UPDATE event_store.snapshots SET version = 1 WHERE org_id = 1 AND aggregate_id = 1",
        {("snapshot", "revenue 1"): ["version"]},
    ),
    "a snapshot's amount, beyond all bounds": (
        (
            f"UPDATE event_store.snapshots SET amount_cents = {2**63 - 1}, contribution_cents = {2**63 - 1} "
            f"{_THE_SNAPSHOT}"
        ),
        {("snapshot", "revenue 1"): ["amount_cents"]},
    ),
    "a snapshot that is ahead": (
        "UPDATE event_store.snapshots SET version = 9 WHERE org_id = 1 AND aggregate_id = 1",
        {("snapshot", "revenue 1"): ["version"]},
    ),
    "a snapshot that is gone": (
        "DELETE FROM event_store.snapshots WHERE org_id = 1 AND aggregate_id = 2",
        {("snapshot", "revenue 2"): ["missing"]},
    ),
    "a row's amount": (
        "UPDATE finance.revenues_partitioned SET amount_cents = 3 WHERE org_id = 1 AND id = 1",
        {("transaction", "revenue 1"): ["amount_cents"]},
    ),
    "a row that is gone": (
        "DELETE FROM finance.expenses_partitioned WHERE org_id = 1 AND id = 3",
        {("transaction", "expense 3"): ["missing"]},
    ),
    "a row too many": (
        (
            "INSERT INTO finance.revenues_partitioned "
            "SELECT org_id, 99, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, "
            "category, description, bank_reference, source, version, created_by_user_id, created_at, "
            "approved_by_user_id, approved_at, updated_at "
            "FROM finance.revenues_partitioned WHERE org_id = 1 AND id = 2"
        ),
        {("transaction", "revenue 99"): ["surplus"]},
    ),
    "a row and its snapshot alike": (
        (
            "WITH hurt AS (UPDATE finance.revenues_partitioned SET amount_cents = 3 WHERE org_id = 1 AND id = 1) "
            f"UPDATE event_store.snapshots SET amount_cents = 3, contribution_cents = 3 {_THE_SNAPSHOT}"
        ),
        {("snapshot", "revenue 1"): ["amount_cents"], ("transaction", "revenue 1"): ["amount_cents"]},
    ),
    "a row and its snapshot, both ahead": (
        (
            "WITH hurt AS (UPDATE finance.revenues_partitioned SET version = 9 WHERE org_id = 1 AND id = 1) "
            f"UPDATE event_store.snapshots SET version = 9 {_THE_SNAPSHOT}"
        ),
        {("snapshot", "revenue 1"): ["version"], ("transaction", "revenue 1"): ["version"]},
    ),
}


@pytest.mark.parametrize("hurt", HURTS)
async def test_exactly_the_row_that_was_hurt_is_found(ledger: Ledger, means: Open, hurt: str) -> None:
    await three_days(ledger)
    statement, expected = HURTS[hurt]
    assert not (await ledger.admin.execute(statement)).endswith(" 0")
    assert await found(ledger, means) == expected
    assert await found(ledger, means, EVERY_BYTE) == expected
    assert await found(ledger, means, Order(org=1)) == expected
    assert await check(ledger, means, Order(org=2)) is not None
    (row,) = await ledger.rows("SELECT count(*), min(first_seen_at) < max(last_seen_at) AS again FROM ops.drifts")
    assert (row["count"], row["again"]) == (len(expected), True)  # found twice, and recorded once


_ALIKE = (
    "WITH row AS (UPDATE finance.revenues_partitioned SET amount_cents = 3 WHERE org_id = 1 AND id = 1), "
    f"snapshot AS (UPDATE event_store.snapshots SET amount_cents = 3, contribution_cents = 3 {_THE_SNAPSHOT}) "
    f"UPDATE {_BALANCE} SET cash_received_cents = 3, calculated_closing_balance_cents = 3, closing_balance_cents = 3 "
    f"WHERE org_id = 1 AND balance_date = '{YESTERDAY}'"
)
# What no sum tells of, and only the stored bytes do.
HIDDEN: Final[dict[str, tuple[str, dict[tuple[str, str], list[str]]]]] = {
    "a text": (
        "UPDATE finance.revenues_partitioned SET description = 'another' WHERE org_id = 1 AND id = 1",
        {("transaction", "revenue 1"): ["description"]},
    ),
    "an amount everywhere": (
        _ALIKE,
        {
            ("balance", f"property 1 {YESTERDAY}"): ["cash_received_cents"],
            ("snapshot", "revenue 1"): ["amount_cents"],
            ("transaction", "revenue 1"): ["amount_cents"],
        },
    ),
    "an event": (
        (
            "UPDATE event_store.events SET event_data = replace(convert_from(event_data, 'UTF8'), '120', '121')::bytea "
            "WHERE org_id = 1 AND aggregate_id = 1 AND version = 2"
        ),
        {("event", "revenue 1"): ["event_data"]},
    ),
}


@pytest.mark.parametrize("hidden", HIDDEN)
async def test_what_no_sum_tells_of_is_found_by_every_byte_and_stays_open(
    ledger: Ledger, means: Open, hidden: str
) -> None:
    await three_days(ledger)
    statement, expected = HIDDEN[hidden]
    assert not (await ledger.admin.execute(statement)).endswith(" 0")
    assert await found(ledger, means, EVERY_BYTE) == expected
    assert await found(ledger, means) == expected  # a check that does not see it does not settle it
    assert await found(ledger, means, Order(org=1)) == expected


async def test_a_snapshot_past_retention_is_told_of_by_its_day(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, at=NOON - timedelta(days=1000), amount=100), ledger.event(2, amount=5))
    assert await ledger.value("SELECT count(*) FROM finance.revenues_partitioned") == 1
    assert await found(ledger, means) == {}
    await ledger.admin.execute(
        "UPDATE event_store.snapshots SET amount_cents = 1, contribution_cents = 1 WHERE aggregate_id = 1"
    )
    assert await found(ledger, means) == {("snapshot", "revenue 1"): ["amount_cents"]}


async def test_what_left_the_store_for_an_archive_is_missed_by_nobody(ledger: Ledger, means: Open) -> None:
    await three_days(ledger)
    await ledger.admin.execute("DELETE FROM event_store.events WHERE org_id = 1")
    assert [key[0] for key in await found(ledger, means)].count("snapshot") == 4
    await ledger.admin.execute(
        "INSERT INTO ops.expired_months (parent, month, to_archive) VALUES ('event_store.events', '2026-03-01', true)"
    )
    try:
        assert await found(ledger, means) == {}
    finally:
        await ledger.admin.execute("DELETE FROM ops.expired_months")


async def test_an_event_whose_bytes_were_changed_is_named(ledger: Ledger, means: Open) -> None:
    await three_days(ledger)
    await ledger.admin.execute(
        "UPDATE event_store.events SET event_data = replace(convert_from(event_data, 'UTF8'), '120', '121')::bytea "
        "WHERE org_id = 1 AND aggregate_id = 1 AND version = 2"
    )
    await ledger.admin.execute("UPDATE event_store.snapshots SET version = 9 WHERE org_id = 1 AND aggregate_id = 1")
    assert list(await found(ledger, means)) == [("event", "revenue 1")]


class TestIncrementally:
    async def test_only_what_was_recorded_since_the_last_check_is_looked_at(self, ledger: Ledger, means: Open) -> None:
        await three_days(ledger)
        assert (await check(ledger, means, Order())).slices == 1  # the first one looks at everything
        assert (await check(ledger, means, Order())).transactions == 0
        await ledger.commit(ledger.event(2, org=2))
        progress = await check(ledger, means, Order())
        assert (progress.transactions, progress.after) == (2, 2)

    async def test_what_is_recorded_while_a_check_runs_is_seen_by_the_next(self, ledger: Ledger, means: Open) -> None:
        """The mark is taken before the first look: one of the end would hide what came behind a look already taken."""
        await three_days(ledger)
        async with means(ledger) as opened:
            with pytest.raises(_Killed):  # everything is looked at, and the check is not done
                await run(opened, FULL, "test", _kill)
        await ledger.commit(ledger.event(5, amount=1))
        assert (await check(ledger, means)).slices_done == 1
        assert (await check(ledger, means, Order())).after == 1

    async def test_a_drift_that_stands_open_is_looked_at_again(self, ledger: Ledger, means: Open) -> None:
        await three_days(ledger)
        await ledger.admin.execute(HURTS["movements"][0])
        assert (await check(ledger, means, Order())).drifts == {"balance": 1}
        assert (await check(ledger, means, Order())).drifts == {"balance": 1}
        await ledger.admin.execute(
            f"UPDATE {_BALANCE} SET cash_received_cents = cash_received_cents - 5, "
            "calculated_closing_balance_cents = calculated_closing_balance_cents - 5, "
            f"closing_balance_cents = closing_balance_cents - 5 WHERE org_id = 1 AND balance_date = '{YESTERDAY}'"
        )
        ledger.clock.pass_seconds(1)
        assert (await check(ledger, means, Order())).drifts == {}
        (row,) = await ledger.rows("SELECT repaired_at IS NOT NULL AS settled, repaired_by FROM ops.drifts")
        assert tuple(row) == (True, "not found any more")


async def test_a_check_that_was_killed_goes_on_where_it_was(ledger: Ledger, means: Open) -> None:
    await history(ledger, orgs=40, count=120)
    await ledger.admin.execute("ANALYZE event_store.snapshots")
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if len(lines) == 5:
            raise _Killed

    async with means(ledger, slice_transactions_max=1) as first:
        with pytest.raises(_Killed):
            await run(first, FULL, "test", tell)
    async with means(ledger, slice_transactions_max=1) as second:
        _, progress = await run(second, FULL, "test", lines.append)
    assert "going on" in lines[5]
    assert len(lines) == 5 + 1 + 11
    assert progress.transactions == await ledger.value("SELECT count(*) FROM event_store.snapshots")


async def test_one_check_at_a_time(ledger: Ledger, means: Open) -> None:
    async with means(ledger):
        with pytest.raises(SettingsRefused, match="another check"):
            await check(ledger, means)


async def test_a_check_reads_with_an_operators_rights(ledger: Ledger, means: Open) -> None:
    async with means(ledger) as opened:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await opened.operator.execute(f"UPDATE {_BALANCE} SET version = 9")


async def test_a_check_that_was_cut_short_is_not_the_one_that_the_next_goes_on_from(
    ledger: Ledger, means: Open
) -> None:
    await ledger.commit(*(ledger.event(1, org=org, amount=100) for org in range(1, 9)))
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 900")
    assert not (await check(ledger, means, drifts_max=3)).whole
    mend = "UPDATE finance.revenues_partitioned SET amount_cents = 100 WHERE org_id IN (SELECT org_id FROM ops.drifts)"
    assert 0 < int((await ledger.admin.execute(mend)).split()[1]) < 8
    ledger.clock.pass_seconds(1)
    assert (await check(ledger, means, Order())).whole
    rows = await ledger.rows("SELECT org_id FROM finance.revenues_partitioned WHERE amount_cents = 900")
    wrong = [row["org_id"] for row in rows]
    assert sorted(drift.org_id for drift in await open_drifts(ledger.admin, 0, 100)) == sorted(wrong)
