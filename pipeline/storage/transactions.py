"""Revenues and expenses: one by its id, its history, those of a day."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import sql
from pipeline.storage.intent import Intent
from pipeline.storage.partitions import EVENTS, SNAPSHOTS, transactions_of_day
from pipeline.storage.reading import Reads, page
from pipeline.storage.values import Kind, Page, StoredVersion, Transaction, TransactionKey, checked_kind, checked_limit
from schemas.headers import unpacked_headers


def key_of(transaction: Transaction) -> TransactionKey:
    """Where a page of a day goes on after it."""
    return TransactionKey(transaction.occurred_at, transaction.id)


class Transactions:
    """Each answer is of one organisation."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def by_id(self, org_id: int, kind: Kind, id_: int, *, intent: Intent) -> Transaction | None:
        """The newest version. Past retention its row is gone: then no category, description, reference or source.

        Raises ReadRefused for another kind than revenue and expense.
        """
        revenue = checked_kind(kind) == "revenue"
        statement = sql.query("revenue_by_id") if revenue else sql.query("expense_by_id")
        expected = (*SNAPSHOTS, f"finance.{kind}s: the month in which it occurred")
        rows = await self._reads.rows(org_id, intent, statement, expected, id_)
        return Transaction(*rows[0]) if rows else None

    async def history(
        self, org_id: int, kind: Kind, id_: int, *, intent: Intent, limit: int, after: int = 0
    ) -> Page[StoredVersion, int]:
        """Every stored version, lowest first, with what became of it; `after`: the `next` of the page before.

        What was archived is not among them. Raises ReadRefused for another kind, and a limit beyond PAGE_ROWS_MAX.
        """
        statement, asked = sql.query("history_of_transaction"), checked_limit(limit) + 1
        rows = await self._reads.rows(org_id, intent, statement, EVENTS, id_, checked_kind(kind), after, asked)
        return page([_version(row) for row in rows], limit, lambda version: version.version)

    async def of_day(
        self,
        org_id: int,
        property_id: int,
        day: date,
        kind: Kind,
        *,
        intent: Intent,
        limit: int,
        after: TransactionKey | None = None,
    ) -> Page[Transaction, TransactionKey]:
        """The day's revenues or expenses in the order in which they occurred; `after`: the `next` of the page before.

        Raises ReadRefused for another kind, and a limit beyond PAGE_ROWS_MAX.
        """
        revenue, asked = checked_kind(kind) == "revenue", checked_limit(limit) + 1
        statement = sql.query("revenues_of_day") if revenue else sql.query("expenses_of_day")
        place = (after.occurred_at, after.id) if after is not None else (None, None)
        expected = transactions_of_day(f"{kind}s", day)
        rows = await self._reads.rows(org_id, intent, statement, expected, property_id, day, *place, asked)
        return page([Transaction(*row) for row in rows], limit, key_of)


def _version(row: Mapping[str, Any]) -> StoredVersion:
    return StoredVersion(**(dict(row) | {"headers": unpacked_headers(row["headers"])}))
