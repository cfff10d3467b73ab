"""Every order in which months are made and rows come: each row lies in the partition that a naive calendar names.

Hypothesis writes histories of months made around dates, in sessions of any time zone, and of transactions at instants
on both sides of a month's bounds. Beside the database stands a calendar of two sets: the months that were made, and the
rows that came. A row belongs to its month in UTC where that was made, before or after it came, and to the default
partition where it was not.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

T = TypeVar("T")
Month = tuple[int, int]
_HISTORIES: Final = 25
_STEPS: Final = 12
_FIRST_YEAR: Final = 2051  # no month is there before
_ROW: Final = "1, '2026-03-10', 5, 'INR', 'cash', 'approved', NULL, NULL, NULL, NULL, 1, 7, now(), NULL, NULL, now()"

years = st.integers(0, 1)
dates = st.builds(lambda year, day: date(_FIRST_YEAR + year, 1, 1) + timedelta(days=day), years, st.integers(0, 364))
# Where a month ends here, and elsewhere: off by a microsecond, by a time zone, by a day.
around_bounds = st.sampled_from(
    [timedelta(0), timedelta(microseconds=1), timedelta(hours=5, minutes=30), timedelta(hours=14), timedelta(days=1)]
)
instants = st.builds(
    lambda year, month, off, sign: datetime(_FIRST_YEAR + year, month, 1, tzinfo=UTC) + sign * off,
    years,
    st.integers(1, 12),
    around_bounds,
    st.sampled_from([-1, 1]),
)
zones = st.sampled_from(["UTC", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"])


class Calendar:
    """What the tables must look like."""

    def __init__(self) -> None:
        self.made: set[Month] = set()
        self.rows: dict[int, datetime] = {}

    def make(self, around: date, back: int, ahead: int) -> int:
        """Returns how many months are new."""
        first = around.year * 12 + around.month - 1
        wanted = {divmod(number, 12) for number in range(first - back, first + ahead + 1)}
        months = {(year, month + 1) for year, month in wanted}
        new = months - self.made
        self.made |= months
        return len(new)

    def partition(self, row: int) -> str:
        at = self.rows[row]
        return f"{at.year}_{at.month:02}" if (at.year, at.month) in self.made else "default"


class Tables:
    """The table of revenues, in a transaction that is rolled back at the end of a history."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._transaction = connection.transaction()

    async def begin(self) -> None:
        await self._transaction.start()

    async def end(self) -> None:
        await self._transaction.rollback()

    async def make(self, zone: str, around: date, back: int, ahead: int) -> int:
        await self._connection.execute(f"SET LOCAL TimeZone = '{zone}'")
        made: int = await self._connection.fetchval(
            "SELECT count(*) FILTER (WHERE ops.ensure_month('finance.revenues_partitioned', 'occurred_at', month)) "
            "FROM generate_series(-$2::integer, $3::integer) AS step, "
            "LATERAL (SELECT (date_trunc('month', $1::date) + make_interval(months => step))::date AS month) AS m",
            around,
            back,
            ahead,
        )
        return made

    async def insert(self, zone: str, row: int, at: datetime) -> None:
        await self._connection.execute(f"SET LOCAL TimeZone = '{zone}'")
        await self._connection.execute(
            f"INSERT INTO finance.revenues_partitioned VALUES (1, {row}, $1, {_ROW})",
            at,
        )

    async def partitions(self) -> dict[int, str]:
        """Row to the name of its partition, without that of the table."""
        rows = await self._connection.fetch(
            "SELECT id, replace(tableoid::regclass::text, 'finance.revenues_', '') AS partition "
            "FROM finance.revenues_partitioned"
        )
        return {row["id"]: row["partition"] for row in rows}


class Run(Protocol):
    """Waits for what a coroutine returns."""

    def __call__(self, doing: Coroutine[Any, Any, T], /) -> T: ...


def histories(run: Run, connection: asyncpg.Connection) -> type[RuleBasedStateMachine]:
    """The machine over a connection; `run` waits for what it does, since hypothesis is no coroutine."""

    class Histories(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.calendar, self.tables = Calendar(), Tables(connection)
            self.numbers = itertools.count(1)
            run(self.tables.begin())

        @rule(zone=zones, around=dates, back=st.integers(0, 3), ahead=st.integers(0, 3))
        def make_months(self, zone: str, around: date, back: int, ahead: int) -> None:
            assert run(self.tables.make(zone, around, back, ahead)) == self.calendar.make(around, back, ahead)
            self.compare()

        @rule(zone=zones, at=instants)
        def insert(self, zone: str, at: datetime) -> None:
            row = next(self.numbers)
            run(self.tables.insert(zone, row, at))
            self.calendar.rows[row] = at
            self.compare()

        def compare(self) -> None:
            found = run(self.tables.partitions())
            assert found == {row: self.calendar.partition(row) for row in self.calendar.rows}

        def teardown(self) -> None:
            run(self.tables.end())

    return Histories


@pytest.mark.timeout(300)
async def test_each_row_lies_in_the_month_that_a_naive_calendar_names(module_database: str) -> None:
    connection = await asyncpg.connect(module_database)
    loop = asyncio.get_running_loop()

    def run(doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, loop).result(60)

    machine = histories(run, connection)
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    thorough = settings(
        max_examples=_HISTORIES, stateful_step_count=_STEPS, deadline=None, suppress_health_check=checks, database=None
    )
    try:
        # In a thread: the machine waits for the loop that runs here.
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=thorough)
    finally:
        await connection.close()
