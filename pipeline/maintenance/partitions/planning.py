"""What is to be done to the months, decided from how they stand: values in, a plan out.

First the months that are missing, the present one before all others; then what an interrupted run has left; then what
is past retention, the oldest first. Each step can be done again: a plan that was interrupted is simply made anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.state import EVENTS, MONTHLY, State
from pipeline.months import month_of, months_after, retention_start
from pipeline.retention import shorter_than_recorded

Purpose = Literal["create", "expire"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which months there are to be. `events_months`: the store loses older ones, which it never does unless told."""

    retention_months: int
    months_ahead: int
    archive: bool = False
    events_months: int | None = None


@dataclass(frozen=True, slots=True)
class MakeMonth:
    """A month's partition, with the rows that have gathered in the default one."""

    table: str
    month: date
    rows: int
    purpose: Purpose = "create"

    @property
    def words(self) -> str:
        swept = f", with {self.rows:,} rows of the default partition (writers of that wait)" if self.rows else ""
        return f"make {self.month:%Y-%m} of {self.table}{swept}"


@dataclass(frozen=True, slots=True)
class KeepVersions:
    """Which versions a month of the event store holds is noted before it leaves: one that is sent again is known."""

    table: str
    month: date
    purpose: Purpose = "expire"

    @property
    def words(self) -> str:
        return f"note the versions of {self.month:%Y-%m} of {self.table}"


@dataclass(frozen=True, slots=True)
class DetachMonth:
    """A month leaves its table. From then on nobody reads its rows as the books'."""

    table: str
    month: date
    rows: int
    bytes: int
    to_archive: bool
    purpose: Purpose = "expire"

    @property
    def words(self) -> str:
        return f"detach {self.month:%Y-%m} of {self.table} (about {self.rows:,} rows, {self.bytes:,} bytes)"


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rows of an expired month leave the default partition."""

    table: str
    month: date
    rows: int
    to_archive: bool
    purpose: Purpose = "expire"

    @property
    def words(self) -> str:
        return f"take {self.rows:,} rows of {self.month:%Y-%m} out of the default partition of {self.table}"


@dataclass(frozen=True, slots=True)
class ArchiveMonth:
    """The rows of a month that has left its table go to a file."""

    table: str
    month: date
    purpose: Purpose = "expire"

    @property
    def words(self) -> str:
        return f"archive {self.month:%Y-%m} of {self.table}"


@dataclass(frozen=True, slots=True)
class DropMonth:
    """The rows of a month that has left its table are gone."""

    table: str
    month: date
    purpose: Purpose = "expire"

    @property
    def words(self) -> str:
        return f"drop {self.month:%Y-%m} of {self.table}"


Step = MakeMonth | KeepVersions | DetachMonth | SetAside | ArchiveMonth | DropMonth
Plan = tuple[Step, ...]


def plan(state: State, now: datetime, keeping: Keeping) -> Plan:
    """The steps that bring the tables to what is to be kept, in order; none when they are so already."""
    edges = expiry_edges(state, now, keeping)
    return (*_creating(state, now, keeping, edges), *_finishing(state), *_expiring(state, keeping, edges))


def require_retention(state: State, keeping: Keeping, purpose: Purpose | None) -> None:
    """Raises SettingsRefused where months would leave that workers still write. Making months takes nothing away."""
    problem = shorter_than_recorded(keeping.retention_months, state.retention)
    if problem is not None and purpose != "create":
        raise SettingsRefused(problem)


def only(steps: Plan, purpose: Purpose | None) -> Plan:
    """The steps of one purpose; all of them for None."""
    return tuple(step for step in steps if purpose in (None, step.purpose))


def expiry_edges(state: State, now: datetime, keeping: Keeping) -> dict[str, date]:
    """By table, the oldest month that stays; tables of which none leaves are absent.

    Seen from the newest record of the books where that is older than `now`: a clock that is wrong by years must not
    cost years of books, and what no record has been judged by has not aged.
    """
    if state.newest_append is None:
        return {}
    seen = min(now, state.newest_append)
    months = {table: keeping.events_months if table == EVENTS else keeping.retention_months for table in MONTHLY}
    return {table: retention_start(seen, kept).date() for table, kept in months.items() if kept is not None}


def _creating(state: State, now: datetime, keeping: Keeping, edges: dict[str, date]) -> Iterator[MakeMonth]:
    present = month_of(now)
    wanted: list[MakeMonth] = []
    for table in MONTHLY:
        # Events are recorded now, never in the past.
        back = 0 if table == EVENTS else state.kept_months(keeping.retention_months)
        months = {months_after(present, step) for step in range(-back, keeping.months_ahead + 1)}
        in_default = {each.month: each.rows for each in state.default_months if each.table == table}
        oldest = edges.get(table, date.min)
        for month in months | in_default.keys():
            expired = month < oldest and month in in_default
            if not expired and not any(partition.covers(month) for partition in state.of(table)):
                wanted.append(MakeMonth(table, month, in_default.get(month, 0)))
    # What is done at once comes before what sweeps, and may take too long; of each, where rows go now, then where they
    # will go, then where late ones go.
    yield from sorted(wanted, key=lambda step: (step.rows > 0, step.month < present, step.month, step.table))


def _finishing(state: State) -> Iterator[Step]:
    for month in state.waiting:
        if month.to_archive and not month.archived:
            yield ArchiveMonth(month.table, month.month)
        yield DropMonth(month.table, month.month)


def _expiring(state: State, keeping: Keeping, edges: dict[str, date]) -> Iterator[Step]:
    leaving: list[DetachMonth | SetAside] = []
    for table, oldest in edges.items():
        archive = keeping.archive or table == EVENTS
        leaving += [
            DetachMonth(table, each.month, each.rows, each.bytes, archive)
            for each in state.of(table)
            if each.month is not None and each.month < oldest
        ]
        leaving += [
            SetAside(table, each.month, each.rows, archive)
            for each in state.default_months
            if each.table == table and each.month < oldest
        ]
    for step in sorted(leaving, key=lambda step: (step.month, step.table)):
        if step.table == EVENTS:
            yield KeepVersions(step.table, step.month)
        yield step
        if step.to_archive:
            yield ArchiveMonth(step.table, step.month)
        yield DropMonth(step.table, step.month)
