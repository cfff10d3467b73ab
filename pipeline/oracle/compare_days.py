"""Two sides, differences, for days: balances against the fold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from pipeline.oracle.books import PropertyKey
from pipeline.oracle.daily import Days, Figures, carry
from pipeline.oracle.findings import Findings
from pipeline.oracle.movements import NOTHING, DayKey

BALANCES: Final = "balances"


class BalanceRow(NamedTuple):
    """A day as the database has it."""

    version: int
    updated_at: datetime
    figures: Figures


class BalanceComparison:
    """Compares `finance.daily_cash_balances_partitioned`; a day without a row is a day of zeros that nobody counted.

    `expected` is taken over and used up. `rows` keeps every row that was fed, to hold the updates against.
    """

    def __init__(
        self,
        expected: dict[PropertyKey, Days],
        opening_cash_cents: Mapping[PropertyKey, int],
        counted: Mapping[PropertyKey, Mapping[date, int]],
    ) -> None:
        self.rows: dict[DayKey, BalanceRow] = {}
        self._counted = counted
        for key, days in counted.items():
            expected[key] = dict.fromkeys(days, NOTHING) | dict(expected.get(key, {}))
        self._expected = expected
        self._opening_cash_cents = opening_cash_cents
        self._property: PropertyKey | None = None
        self._days: dict[date, Figures] = {}

    def feed(self, findings: Findings, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of (org, property, date, version, updated_at, figures…), each property's together."""
        for row in rows:
            org_id, property_id, day, version, updated_at = row[:5]
            if self._property != (org_id, property_id):
                self._judge_property(findings)
                self._property = (org_id, property_id)
                self._days = {}
            figures = Figures(*row[5:])
            self._days[day] = figures
            self.rows[org_id, property_id, day] = BalanceRow(version, updated_at, figures)

    def finish(self, findings: Findings) -> None:
        """The last property, and those without any row."""
        self._judge_property(findings)
        self._days = {}
        for key in list(self._expected):
            self._property = key
            self._judge_property(findings)

    def _judge_property(self, findings: Findings) -> None:
        if self._property is None:
            return
        # Every row has its say even on a day of zeros: it must show what was carried into it.
        days = dict.fromkeys(self._days, NOTHING) | dict(self._expected.pop(self._property, {}))
        opening = self._opening_cash_cents.get(self._property, 0)
        findings.compared[BALANCES] += len(days)
        for day, expected in carry(days, opening, self._counted.get(self._property, {})):
            actual = self._days.get(day)
            if expected != actual:
                key = dict(zip(("org_id", "property_id", "balance_date"), (*self._property, day), strict=True))
                findings.differ_in_fields(BALANCES, key, Figures._fields, expected, actual)
