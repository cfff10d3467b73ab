"""What people read: a property's day, an organisation at a glance, a property's month."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import sql
from pipeline.storage.balances import Balances
from pipeline.storage.intent import Intent
from pipeline.storage.partitions import BALANCES, transactions_of_day
from pipeline.storage.reading import Reads, page
from pipeline.storage.transactions import key_of
from pipeline.storage.values import (
    Balance,
    DailyReport,
    MonthSummary,
    OverviewLine,
    Page,
    Property,
    Total,
    Transaction,
    checked_limit,
)

_DAYS_OF_A_MONTH_MAX = 31
# How a row of daily_report and of org_overview is made up.
_PROPERTY, _BALANCE, _KEPT, _PART = slice(0, 4), slice(4, 18), 18, 19


class Reports:
    """Each answer is of one organisation. Live: they show what is committed when they are asked for."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._balances = Balances(reads)

    async def daily(
        self, org_id: int, property_id: int, day: date, *, intent: Intent, limit: int = 100
    ) -> DailyReport | None:
        """A property's day: balance, totals of all its transactions, and the first `limit` of each kind.

        Past retention the transactions have left: `transactions_kept` says so, and the balance holds them all the same.
        More of them: Transactions.of_day, after the page's `next`. Totals, transactions and balance are of one instant.
        None: there is no such property. Raises ReadRefused for a limit beyond PAGE_ROWS_MAX.
        """
        statement, asked = sql.query("daily_report"), checked_limit(limit) + 1
        expected = (*BALANCES, *transactions_of_day("revenues", day), *transactions_of_day("expenses", day))
        rows = await self._reads.rows(org_id, intent, statement, expected, property_id, day, asked)
        return _daily(rows, day, limit) if rows else None

    async def overview(
        self, org_id: int, day: date, *, intent: Intent, limit: int, after: int = 0
    ) -> Page[OverviewLine, int]:
        """The properties, each with its latest day on or before `day`; `after`: the `next` of the page before.

        Raises ReadRefused for a limit beyond PAGE_ROWS_MAX.
        """
        statement, asked = sql.query("org_overview"), checked_limit(limit) + 1
        rows = await self._reads.rows(org_id, intent, statement, BALANCES, after, day, asked)
        lines = [OverviewLine(Property(*row[:4]), _balance([row[0], *row[4:]])) for row in map(tuple, rows)]
        return page(lines, limit, lambda line: line.property.property_id)

    async def month(self, org_id: int, property_id: int, month: date, *, intent: Intent) -> MonthSummary | None:
        """The calendar month in which `month` lies. None: the property has no row in it, or before."""
        first = month.replace(day=1)
        days = await self._balances.of_range(
            org_id, property_id, first, _last_day(first), intent=intent, limit=_DAYS_OF_A_MONTH_MAX
        )
        if days.items:
            return summary(first, days.items)
        if first == date.min:
            return None
        before = await self._balances.latest(org_id, property_id, first - timedelta(days=1), intent=intent)
        return nothing_moved(first, before) if before is not None else None


def _last_day(first: date) -> date:
    if (first.year, first.month) == (date.max.year, date.max.month):
        return date.max
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def summary(month: date, days: Sequence[Balance]) -> MonthSummary:
    """A month with rows, oldest first: it opens as its first day does, for a day without a row moves nothing."""
    return MonthSummary(
        property_id=days[0].property_id,
        month=month,
        opening_balance_cents=days[0].opening_balance_cents,
        cash_received_cents=sum(day.cash_received_cents for day in days),
        bank_received_cents=sum(day.bank_received_cents for day in days),
        cash_expenses_cents=sum(day.cash_expenses_cents for day in days),
        bank_expenses_cents=sum(day.bank_expenses_cents for day in days),
        closing_balance_cents=days[-1].closing_balance_cents,
        balance_discrepancy_cents=sum(day.balance_discrepancy_cents for day in days),
        days_with_a_row=len(days),
        days_counted=sum(day.declared_closing_cents is not None for day in days),
    )


def nothing_moved(month: date, before: Balance) -> MonthSummary:
    """A month without a row: it closes as it opened."""
    closing = before.closing_balance_cents
    return MonthSummary(before.property_id, month, closing, 0, 0, 0, 0, closing, 0, 0, 0)


def _daily(rows: Sequence[Sequence[Any]], day: date, limit: int) -> DailyReport:
    totals, of_kind = [], {"revenue": list[Transaction](), "expense": list[Transaction]()}
    for row in rows:
        part, *columns = row[_PART:]
        if part == "total":
            kind, transactions, _, _, _, cents, _, mode, status = columns[:9]
            totals.append(Total(kind, mode, status, transactions, cents))
        elif part == "transaction":
            of_kind[columns[0]].append(Transaction(*columns))
    return DailyReport(
        property=Property(*rows[0][_PROPERTY]),
        balance_date=day,
        balance=_balance(rows[0][_BALANCE]),
        transactions_kept=rows[0][_KEPT],
        totals=tuple(sorted(totals, key=lambda total: (total.kind, total.payment_mode, total.status))),
        revenues=page(of_kind["revenue"], limit, key_of),
        expenses=page(of_kind["expense"], limit, key_of),
    )


def _balance(columns: Sequence[Any]) -> Balance | None:
    """The day that was joined to a property; None where none was."""
    return Balance(*columns) if columns[1] is not None else None
