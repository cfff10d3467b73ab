"""How the partitioned tables stand, read from the catalogs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import asyncpg

import sql
from pipeline.months import month_of, months_after, start_of
from pipeline.retention import recorded_retention

# The table of months, and the column whose instant says which month. Their default partitions catch what has no month.
REVENUES: Final = "finance.revenues_partitioned"
EXPENSES: Final = "finance.expenses_partitioned"
EVENTS: Final = "event_store.events"
MONTHLY: Final = {REVENUES: "occurred_at", EXPENSES: "occurred_at", EVENTS: "recorded_at"}
# Spread by organisation. Never pruned: the newest state of everything, and every day's balance.
HASHED: Final = ("finance.daily_cash_balances_partitioned", "event_store.snapshots")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition. `rows` is what the planner believes; the default partition has neither bounds nor a remainder."""

    table: str
    name: str
    rows: int
    bytes: int
    lower: datetime | None = None
    upper: datetime | None = None
    modulus: int | None = None
    remainder: int | None = None

    @property
    def month(self) -> date | None:
        """The month that it holds, if it holds exactly one."""
        if self.lower is None or self.upper is None:
            return None
        month = month_of(self.lower)
        exact = (self.lower, self.upper) == (start_of(month), start_of(months_after(month, 1)))
        return month if exact else None

    def covers(self, month: date) -> bool:
        """Whether a row of the month's first instant is routed to it."""
        return self.lower is not None and self.upper is not None and self.lower <= start_of(month) < self.upper


@dataclass(frozen=True, slots=True)
class DefaultMonth:
    """So many rows of a month are in the default partition."""

    table: str
    month: date
    rows: int


@dataclass(frozen=True, slots=True)
class WaitingMonth:
    """An expired month that has left its table; its rows wait to be archived, where they are to be, and dropped."""

    table: str
    month: date
    detached_at: datetime
    to_archive: bool
    archived: bool


@dataclass(frozen=True, slots=True)
class State:
    """All partitioned tables at one moment.

    `newest_append` is when the newest record that the books have seen was appended to its topic: None before the first.
    `retention` has the months that the workers keep, by lane, as they have recorded them.
    """

    partitions: tuple[Partition, ...]
    default_months: tuple[DefaultMonth, ...] = ()
    waiting: tuple[WaitingMonth, ...] = ()
    newest_append: datetime | None = None
    retention: Mapping[int, int] = field(default_factory=dict)

    def kept_months(self, here: int) -> int:
        """For how long transactions are kept by anybody: by the workers, or by what is set here."""
        return max(here, *self.retention.values(), 1)

    def of(self, table: str) -> list[Partition]:
        return [partition for partition in self.partitions if partition.table == table]


async def read_state(connection: asyncpg.Connection) -> State:
    """Everything that a plan needs to know, as of one instant. The connection's time zone is UTC."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        partitions = await connection.fetch(sql.query("partitions"), [*MONTHLY, *HASHED])
        default_months = await connection.fetch(sql.query("default_months"))
        waiting = await connection.fetch(sql.query("waiting_months"))
        appended = [at for row in await connection.fetch(sql.query("newest_append")) for at in row if at is not None]
        retention = await recorded_retention(connection)
    return State(
        tuple(_partition(row) for row in partitions),
        tuple(DefaultMonth(*row) for row in default_months),
        tuple(WaitingMonth(*row) for row in waiting),
        max(appended, default=None),
        retention,
    )


def _partition(row: asyncpg.Record) -> Partition:
    return Partition(
        table=row["parent"],
        name=row["partition"],
        rows=row["row_count"],
        bytes=row["bytes"],
        lower=row["lower_bound"],
        upper=row["upper_bound"],
        modulus=row["modulus"],
        remainder=row["remainder"],
    )
