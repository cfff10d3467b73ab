"""The books as one would keep them by hand: one record after the other, everything else worked out when asked for.

Shares nothing with what it is held against: it reads the bodies that were sent, compares them as they are, and adds up
each day from its first.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Body = dict[str, Any]
Transaction = tuple[str, int]  # revenue or expense, aggregate_id
Day = tuple[int, str]  # property_id, balance_date
Cents = tuple[int, int, int, int]  # cash received, bank received, cash spent, bank spent

ZERO: Cents = (0, 0, 0, 0)
_STATED = ("cash_received_cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents")


def plus(one: Cents, other: Cents, sign: int = 1) -> Cents:
    return (
        one[0] + sign * other[0],
        one[1] + sign * other[1],
        one[2] + sign * other[2],
        one[3] + sign * other[3],
    )


@dataclass(frozen=True)
class DayRow:
    """What the books say of a day: opening, movements, count, closing, discrepancy; and its version."""

    version: int
    opening: int
    figures: Cents
    count: int | None
    closing: int
    discrepancy: int


@dataclass
class NaiveBooks:
    """One organisation. `take` one record after the other, `close_batch` where the transaction commits."""

    opening_cash: Mapping[int, int] = field(default_factory=dict)  # by property
    versions: dict[Transaction, dict[int, Body]] = field(default_factory=dict)
    corrections: dict[str, Body] = field(default_factory=dict)
    figures: dict[Day, Cents] = field(default_factory=dict)
    counts: dict[Day, int] = field(default_factory=dict)
    adjustments: list[tuple[Day, Cents, Cents]] = field(default_factory=list)
    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)  # by lane
    gaps: Counter[int] = field(default_factory=Counter)  # by lane
    rows: dict[Day, DayRow] = field(default_factory=dict)

    def take(self, lane: int, body: Body | None) -> None:
        """The next record, None where it is none that could be read."""
        if body is None:
            outcome = "quarantined"
        elif "correction_id" in body:
            outcome = self._correction(body)
        else:
            outcome = self._event(lane, body)
        self.outcomes[lane, outcome] += 1

    def close_batch(self) -> None:
        """Each day that says another thing than before the batch gets its next version, once."""
        opening = dict(self.opening_cash)
        for day in sorted(self.figures.keys() | self.counts.keys() | self.rows.keys()):
            old, figures, count = self.rows.get(day), self.figures.get(day, ZERO), self.counts.get(day)
            start = opening.get(day[0], 0)
            calculated = start + figures[0] - figures[2]
            closing = opening[day[0]] = calculated if count is None else count
            if old is None and figures == ZERO and count is None:
                continue  # a day of nothing has no row, unless it had something once
            new = DayRow(1, start, figures, count, closing, closing - calculated)
            if old is not None:
                same = (old.opening, old.figures, old.count) == (start, figures, count)
                new = old if same else replace(new, version=old.version + 1)
            self.rows[day] = new

    def drift(self, day: Day, bank_received: int) -> None:
        """Somebody changes a row behind everyone's back; of the bank's money, which no later day opens with."""
        row, figures = self.rows[day], plus(self.figures.get(day, ZERO), (0, bank_received, 0, 0))
        self.figures[day] = figures
        self.rows[day] = replace(row, figures=figures)

    def _event(self, lane: int, body: Body) -> str:
        kind, version = body["type"].partition(".")[0], body["version"]
        versions = self.versions.setdefault((kind, body["aggregate_id"]), {})
        newest = max(versions, default=0)
        if version in versions:
            return "duplicate" if _content(versions[version]) == _content(body) else "conflict"
        versions[version] = body
        if version < newest:
            return "stale"
        self.gaps[lane] += version != newest + 1
        if newest:
            self._post(kind, versions[newest], -1)
        self._post(kind, body, 1)
        return "applied"

    def _post(self, kind: str, body: Body, sign: int) -> None:
        day = _day_of_event(body)
        self.figures[day] = plus(self.figures.get(day, ZERO), _counts_for(kind, body), sign)

    def _correction(self, body: Body) -> str:
        before = self.corrections.setdefault(body["correction_id"], body)
        if before is not body:
            return "duplicate" if before == body else "conflict"
        day: Day = (body["property_id"], body["balance_date"])
        if body["kind"] == "figures":
            stated = body["figures"]
            after: Cents = (stated[_STATED[0]], stated[_STATED[1]], stated[_STATED[2]], stated[_STATED[3]])
            self.adjustments.append((day, self.figures.get(day, ZERO), after))
            self.figures[day] = after
        elif body["kind"] == "recompute":
            self.figures[day] = self._recomputed(day)
        elif (count := body["declared_closing_cents"]) is None:
            self.counts.pop(day, None)
        else:
            self.counts[day] = count
        return "applied"

    def _recomputed(self, day: Day) -> Cents:
        """What the newest versions and the adjustments say of the day."""
        total = ZERO
        for (kind, _), versions in self.versions.items():
            newest = versions[max(versions)]
            if _day_of_event(newest) == day:
                total = plus(total, _counts_for(kind, newest))
        for adjusted, before, after in self.adjustments:
            if adjusted == day:
                total = plus(plus(total, after), before, -1)
        return total


def _content(body: Body) -> Body:
    return {name: value for name, value in body.items() if name != "event_id"}


def _day_of_event(body: Body) -> Day:
    # At noon in UTC, and in the evening in India, it is the same day.
    return body["property_id"], body["occurred_at"].partition("T")[0]


def _counts_for(kind: str, body: Body) -> Cents:
    """What a version adds to its day. Only approved money counts."""
    data = body["data"]
    cents = data["amount_cents"] if data["status"] == "approved" else 0
    match kind, data["payment_mode"]:
        case "revenue", "cash":
            return (cents, 0, 0, 0)
        case "revenue", "bank":
            return (0, cents, 0, 0)
        case "expense", "cash":
            return (0, 0, cents, 0)
    return (0, 0, 0, cents)
