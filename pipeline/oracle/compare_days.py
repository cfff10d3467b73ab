"""Two sides, differences, for days: balances against the fold, and realtime updates against balances."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from pipeline.oracle.books import PropertyKey
from pipeline.oracle.daily import Days, Figures, carry
from pipeline.oracle.expiry import Expiry
from pipeline.oracle.findings import Findings
from pipeline.oracle.movements import NOTHING, DayKey
from pipeline.oracle.updates import Update

BALANCES: Final = "balances"
REALTIME: Final = "realtime"


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


class RealtimeComparison:
    """Holds updates against rows: every version of every row was told, unless a rebuild skipped it; the newest rightly.

    Updates beyond a row's version were made after the snapshot and are left out; repeated and reordered ones
    are fine. Of an org whose first updates may have expired, the versions that are there must be without gaps, and
    the newest one must be there unless it may have expired as well: `not_compared` counts those rows.
    """

    def __init__(self, rows: Mapping[DayKey, BalanceRow], expiry: Expiry) -> None:
        self.not_compared = 0
        self._rows = rows
        self._expiry = expiry
        self._versions: defaultdict[DayKey, dict[str, list[int]]] = defaultdict(dict)
        self._rebuilt: defaultdict[DayKey, set[int]] = defaultdict(set)
        self._newest: dict[DayKey, Update] = {}

    def feed(self, findings: Findings, updates: Iterable[Update]) -> None:
        """Take in updates of the topic in its order, or of the outbox."""
        for update in updates:
            row = self._rows.get(update.key)
            if row is None or update.version > row.version:
                continue
            self._versions[update.key].setdefault(update.epoch, []).append(update.version)
            if update.rebuilt:
                self._rebuilt[update.key].add(update.version)
            self._expiry.hear(update)
            if update.version == row.version:
                self._take_newest(findings, update)

    def _take_newest(self, findings: Findings, update: Update) -> None:
        before = self._newest.get(update.key)
        if before is not None and before.epoch == update.epoch and before.figures != update.figures:
            self._differ(findings, update.key, update.version, before.figures, update.figures)
        # A failover may lose the log's end and use versions again, on a later timeline: that one counts, though a
        # worker of the former primary may tell of the same version after it.
        if before is None or _timeline(update.epoch) >= _timeline(before.epoch):
            self._newest[update.key] = update

    def finish(self, findings: Findings) -> None:
        """Every row: no version untold, and the newest as the row is."""
        for key, row in self._rows.items():
            epochs = self._versions.get(key, {})
            if not epochs and not self._expiry.must_hold(key[0], row.updated_at):
                self.not_compared += 1
                continue
            findings.compared[REALTIME] += 1
            first = self._first_held(key[0], epochs, row.version)
            missing = _untold(epochs, first, row.version, self._rebuilt.get(key, frozenset()))
            if missing:
                findings.differ(REALTIME, _named(key), {"versions_told": f"up to {row.version}"}, {"untold": missing})
            newest = self._newest.get(key)
            if newest is not None and newest.figures != row.figures:
                self._differ(findings, key, row.version, row.figures, newest.figures)

    def _first_held(self, org_id: int, epochs: Mapping[str, Sequence[int]], newest: int) -> int:
        """The version from which on every one must be there."""
        if not self._expiry.may_have_expired(org_id):
            return 1
        return min((min(versions) for versions in epochs.values()), default=newest)

    def _differ(self, findings: Findings, key: DayKey, version: int, expected: Figures, actual: Figures) -> None:
        findings.differ_in_fields(REALTIME, _named(key) | {"version": version}, Figures._fields, expected, actual)


_UNTOLD_SHOWN: Final = 10


def _timeline(epoch: str) -> int:
    """The second part of (system identifier, timeline). Epochs that are no such thing are all alike."""
    timeline = epoch.rpartition("-")[2]
    return int(timeline) if timeline.isdecimal() else 0


def _untold(epochs: Mapping[str, Sequence[int]], first: int, newest: int, rebuilt: Collection[int]) -> str:
    """The versions from `first` to `newest` that no update told, and gaps within an epoch; empty when none.

    A rebuild may skip versions before its own: it restores rows of which nobody knows how far they had come.
    """
    told = set[int]().union(*epochs.values())
    untold = _absent(told, first, newest, rebuilt)
    for versions in epochs.values():
        untold += _absent(set(versions), min(versions), max(versions), rebuilt)
    untold = sorted(set(untold))
    more = ", …" if len(untold) > _UNTOLD_SHOWN else ""
    return ", ".join(map(str, untold[:_UNTOLD_SHOWN])) + more


def _absent(told: set[int], first: int, last: int, rebuilt: Collection[int]) -> list[int]:
    if len(told) == last - first + 1:  # all within the two, so all there
        return []
    if not rebuilt:
        return [version for version in range(first, last + 1) if version not in told]
    absent: list[int] = []
    expected = first
    for version in sorted(version for version in told if version >= first):
        if version not in rebuilt:
            absent += range(expected, version)
        expected = version + 1
    return [*absent, *range(expected, last + 1)]


def _named(key: DayKey) -> dict[str, object]:
    return dict(zip(("org_id", "property_id", "balance_date"), key, strict=True))
