"""Whether the tables of months are well: how long months last, what lies in the wrong place, what should have left."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from pipeline.maintenance.partitions.planning import Keeping, expiry_edges
from pipeline.maintenance.partitions.state import MONTHLY, State
from pipeline.months import month_of, months_after, start_of
from pipeline.retention import shorter_than_recorded

# A month is past retention from the 1st on, and the clean-up comes on the 15th: two of them mean that one was missed.
LAG_MONTHS_MAX: Final = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """One table of months. `months_ahead` is -1 where even the present one is missing."""

    table: str
    months_ahead: int
    runway_days: float
    default_rows: int
    cleanup_lag_months: int
    waiting_months: int

    @property
    def problems(self) -> Iterator[str]:
        """What must be mended, in words; nothing when all is well."""
        if self.months_ahead < 0:
            yield f"{self.table}: the present month is missing; run `folio partitions apply`"
        elif self.months_ahead < 1:
            yield f"{self.table}: the next month is missing; run `folio partitions apply`"
        if self.default_rows:
            yield f"{self.table}: {self.default_rows:,} rows in the default partition; run `folio partitions apply`"
        if self.waiting_months:
            months = f"{self.waiting_months} months have left it and wait to be archived or dropped"
            yield f"{self.table}: {months}; run `folio partitions apply`"
        if self.cleanup_lag_months > LAG_MONTHS_MAX:
            yield f"{self.table}: {self.cleanup_lag_months} months past retention; run `folio partitions apply`"


def standings(state: State, now: datetime, keeping: Keeping) -> list[Standing]:
    """How each table of months stands. What a worker keeps, no clean-up has missed (see retention_problem)."""
    kept = replace(keeping, retention_months=state.kept_months(keeping.retention_months))
    edges = expiry_edges(state, now, kept)
    return [_standing(state, table, now, edges.get(table)) for table in MONTHLY]


def retention_problem(state: State, keeping: Keeping) -> str | None:
    """Why nothing may leave by these settings, in words: workers keep more than that."""
    return shorter_than_recorded(keeping.retention_months, state.retention)


def _standing(state: State, table: str, now: datetime, oldest: date | None) -> Standing:
    partitions = state.of(table)
    months = [partition.month for partition in partitions if partition.month is not None]
    following = month_of(now)
    ahead = -1
    while any(partition.covers(following) for partition in partitions):
        following, ahead = months_after(following, 1), ahead + 1
    return Standing(
        table=table,
        months_ahead=ahead,
        runway_days=max(start_of(following) - now, timedelta()) / timedelta(days=1),
        default_rows=sum(each.rows for each in state.default_months if each.table == table),
        cleanup_lag_months=sum(month < oldest for month in months) if oldest is not None else 0,
        waiting_months=sum(each.table == table for each in state.waiting),
    )
