"""Daily cash balances of a property."""

from datetime import date

import sql
from pipeline.storage.intent import Intent
from pipeline.storage.partitions import BALANCES
from pipeline.storage.reading import Reads, page
from pipeline.storage.values import Balance, Page, checked_limit


class Balances:
    """Each answer is of one organisation, and of one property of it."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def of_day(self, org_id: int, property_id: int, day: date, *, intent: Intent) -> Balance | None:
        """The day's row. None: it has none, which equals a day on which nothing moved; see `latest`."""
        statement = sql.query("balance_of_day")
        rows = await self._reads.rows(org_id, intent, statement, BALANCES, property_id, day)
        return Balance(*rows[0]) if rows else None

    async def latest(self, org_id: int, property_id: int, day: date, *, intent: Intent) -> Balance | None:
        """The latest row on or before a day: what the property had at its end is its closing. None: nothing before."""
        statement = sql.query("latest_balance")
        rows = await self._reads.rows(org_id, intent, statement, BALANCES, property_id, day)
        return Balance(*rows[0]) if rows else None

    async def of_range(
        self,
        org_id: int,
        property_id: int,
        first: date,
        last: date,
        *,
        intent: Intent,
        limit: int,
        after: date | None = None,
    ) -> Page[Balance, date]:
        """The rows from `first` to `last`, both included, oldest first; `after`: the `next` of the page before.

        Raises ReadRefused for a limit beyond PAGE_ROWS_MAX.
        """
        statement, asked = sql.query("balances_of_range"), checked_limit(limit) + 1
        rows = await self._reads.rows(org_id, intent, statement, BALANCES, property_id, first, last, after, asked)
        return page([Balance(*row) for row in rows], limit, lambda balance: balance.balance_date)
