"""Whether tables that hold the same transactions hold as many of them; which ones is `folio check`'s to say."""

from dataclasses import dataclass
from typing import Final, Literal

import asyncpg

import sql
from pipeline.maintenance.partitions.state import EXPENSES, REVENUES
from pipeline.maintenance.partitions.verifying import Counts

_SNAPSHOTS: Final = "event_store.snapshots"
Kind = Literal["revenue", "expense"]


@dataclass(frozen=True, slots=True)
class Parity:
    """Transactions since retention's edge: rows of their table, and snapshots, of which each has one."""

    kind: Kind
    table: str
    rows: int
    snapshots: int

    @property
    def problem(self) -> str | None:
        if self.rows == self.snapshots:
            return None
        return f"{self.table}: {self.rows:,} rows for {self.snapshots:,} snapshots; run `folio check` to see which"


@dataclass(frozen=True, slots=True)
class LegacyTable:
    """A table or view of the platform before. `rows` is what the planner believes; null: it does not know."""

    name: str
    origin: str
    is_view: bool
    rows: int | None


def parities(counts: Counts) -> list[Parity]:
    """Both kinds, of what was counted in one snapshot."""
    snapshots = [each for each in counts.partitions if each.table == _SNAPSHOTS]
    revenues = sum(each.kept_revenues for each in counts.partitions if each.table == REVENUES)
    expenses = sum(each.kept_expenses for each in counts.partitions if each.table == EXPENSES)
    return [
        Parity("revenue", REVENUES, revenues, sum(each.kept_revenues for each in snapshots)),
        Parity("expense", EXPENSES, expenses, sum(each.kept_expenses for each in snapshots)),
    ]


async def read_legacy(connection: asyncpg.Connection) -> list[LegacyTable]:
    """Legacy tables that this database has; none where the stream was the first to write."""
    return [LegacyTable(*row) for row in await connection.fetch(sql.query("legacy_tables"))]
