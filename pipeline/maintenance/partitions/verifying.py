"""Partitions held against their bounds, row by row: what is where it must be, what is not, which months are missing.

PostgreSQL routes each row by itself. What this finds is what was done around it: a month that nobody made, so that its
rows lie in the default partition; one that was detached, or attached by a constraint that did not hold; damage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

import sql
from pipeline.maintenance.partitions.planning import Keeping, MakeMonth, only, plan
from pipeline.maintenance.partitions.state import HASHED, MONTHLY, Partition, State, read_state


@dataclass(frozen=True, slots=True)
class Count:
    """The rows of a partition, counted. `kept_*`: transactions that occurred since retention's edge."""

    table: str
    name: str
    rows: int
    oldest: datetime | None = None
    newest: datetime | None = None
    strays: int = 0
    kept_revenues: int = 0
    kept_expenses: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Every row, in one snapshot. `kept_since`: retention's edge; None where nothing has left yet, and nothing may."""

    partitions: tuple[Count, ...]
    kept_since: datetime | None = None

    def of(self, partition: Partition) -> Count:
        """What was counted in it; one without a row was not told of."""
        counts = (each for each in self.partitions if (each.table, each.name) == (partition.table, partition.name))
        return next(counts, Count(partition.table, partition.name, 0))


async def read_counted(connection: asyncpg.Connection) -> tuple[State, Counts]:
    """The partitions and all of their rows, as of one instant. Reads each table once, from end to end."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        state = await read_state(connection)
        rows = await connection.fetch(sql.query("count_partitions"))
    return state, Counts(
        tuple(
            Count(
                row["parent"],
                row["partition"],
                row["row_count"],
                row["oldest"],
                row["newest"],
                row["strays"],
                row["kept_revenues"],
                row["kept_expenses"],
            )
            for row in rows
        ),
        next((row["kept_since"] for row in rows), None),
    )


def missing_months(state: State, now: datetime, keeping: Keeping) -> list[MakeMonth]:
    """The months that there must be and are not; each with its rows in the default partition."""
    return [step for step in only(plan(state, now, keeping), "create") if isinstance(step, MakeMonth)]


def misplaced(partition: Partition, count: Count) -> str | None:
    """What is wrong with the rows of a partition, in words."""
    if partition.modulus is not None:
        if count.strays:
            return f"{partition.name}: {count.strays:,} rows of organisations that belong to another partition"
    elif partition.lower is None or partition.upper is None:
        if count.rows:
            return f"{partition.name}: {count.rows:,} rows in the default partition; run `folio partitions apply`"
    elif _beyond(count, partition.lower, partition.upper):
        return f"{partition.name}: rows from {count.oldest} to {count.newest}, beyond its bounds"
    return None


def _beyond(count: Count, lower: datetime, upper: datetime) -> bool:
    return count.oldest is not None and count.newest is not None and (count.oldest < lower or count.newest >= upper)


def hashing_problems(state: State) -> Iterator[str]:
    """Remainders that no partition holds, so that writes for some organisations fail: nothing where all are held."""
    for table in HASHED:
        held = [(each.modulus, each.remainder) for each in state.of(table) if each.modulus is not None]
        modulus = max((modulus for modulus, _ in held), default=1)
        missing = [
            remainder for remainder in range(modulus) if not any(remainder % each == of_it for each, of_it in held)
        ]
        if missing:
            yield f"{table}: no partition for the remainders {_listed(missing)} of {modulus}"


def verification_problems(state: State, counts: Counts, now: datetime, keeping: Keeping) -> Sequence[str]:
    """Everything that is not as it must be, in words; nothing when all is well."""
    missing = missing_months(state, now, keeping)
    absent = [
        f"{table}: no partition for {_listed(months)}; run `folio partitions apply`"
        for table in MONTHLY
        if (months := [f"{step.month:%Y-%m}" for step in missing if step.table == table])
    ]
    found = (misplaced(partition, counts.of(partition)) for partition in state.partitions)
    return (*absent, *hashing_problems(state), *(problem for problem in found if problem is not None))


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)
