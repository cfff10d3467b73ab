"""A day as the primary has it, with the history that it belongs to: what caches are filled with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import asyncpg

import sql
from pipeline.storage.intent import Write
from pipeline.storage.partitions import BALANCES
from pipeline.storage.reading import Reads
from pipeline.storage.values import Balance


@dataclass(frozen=True, slots=True)
class PrimaryDay:
    """`epoch`: of the server that answered; versions of two epochs have no order.

    `balance`: the day's row. `newest`: the newest one on or before it, which says what a day without a row closes with.
    """

    epoch: str
    balance: Balance | None
    newest: Balance | None


@dataclass(frozen=True, slots=True)
class DaysWanted:
    """Which days of an organisation; None does not restrict. `first` and `last` are included."""

    properties: Sequence[int] | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class PrimaryDays:
    """Days as the primary has them, by property and date; `complete` is False where more were wanted than allowed."""

    epoch: str
    balances: Sequence[Balance]
    complete: bool


class PrimaryBalances:
    """What misses are filled with, and what subscribers begin with.

    The intent is that of a write: only the primary tells that it is not behind.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def of_day(self, day: tuple[int, int, date]) -> PrimaryDay:
        """`day`: org_id, property_id, balance_date.

        Raises DatabaseUnavailable, also where the server turns out to be a standby.
        """
        epoch, *columns = await self._reads.primary_row(sql.query("newest_balance"), BALANCES, *day)
        newest = Balance(*columns) if columns[0] is not None else None
        return PrimaryDay(epoch, newest if newest is not None and newest.balance_date == day[2] else None, newest)

    async def of_org(self, org_id: int, wanted: DaysWanted, most: int) -> PrimaryDays:
        """The first `most` of the days that are wanted. Raises as `of_day`, and ReadRefused for no identifier."""

        async def work(connection: asyncpg.Connection) -> PrimaryDays:
            epoch: str = await connection.fetchval(sql.query("cluster_epoch"))
            statement = sql.query("balances_of_org")
            arguments = (wanted.properties, wanted.first, wanted.last, most + 1)
            rows = await self._reads.fetch(connection, statement, BALANCES, org_id, *arguments)
            return PrimaryDays(epoch, [Balance(*row) for row in rows[:most]], len(rows) <= most)

        return await self._reads.together(org_id, Write(), work)
