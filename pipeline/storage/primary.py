"""A day as the primary has it, with the history that it belongs to: what caches are filled with."""

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
    """`epoch`: of the server that answered; versions of two epochs have no order."""

    epoch: str
    balance: Balance | None


class PrimaryBalances:
    """What misses are filled with. The intent is that of a write: only the primary tells that it is not behind."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def of_day(self, day: tuple[int, int, date]) -> PrimaryDay:
        """`day`: org_id, property_id, balance_date.

        Raises DatabaseUnavailable, also where the server turns out to be a standby.
        """
        org_id, property_id, balance_date = day

        async def work(connection: asyncpg.Connection) -> PrimaryDay:
            epoch: str = await connection.fetchval(sql.query("cluster_epoch"))
            statement = sql.query("balance_of_day")
            rows = await self._reads.fetch(connection, statement, BALANCES, org_id, property_id, balance_date)
            return PrimaryDay(epoch, Balance(*rows[0]) if rows else None)

        return await self._reads.together(org_id, Write(), work)
