"""The decisions of a batch applied to dictionaries: the books without a database, for tests of the plain functions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from msgspec import UNSET

from batchers.carry import Balance, carry
from batchers.coalesce import NOTHING, Figures, coalesce
from batchers.correct import Adjustment, Booked, DayKey, correct, day_of, recomputed_days
from batchers.decide import (
    Decisions,
    Fingerprint,
    Known,
    Outcome,
    Snapshot,
    accepted,
    decide,
    versions_to_probe,
)
from batchers.properties import Property, PropertyDefaults
from schemas.content_hash import CORRECTION_HASH_VERSION, HASH_VERSION
from schemas.records import AggregateKey, CorrectionKey, Judged, PropertyKey

DEFAULTS = PropertyDefaults("INR", "Asia/Kolkata")


@dataclass
class MemoryBooks:
    """One lane's books; of several lanes, each batch in the order in which `Books` takes it."""

    properties: dict[PropertyKey, Property] = field(default_factory=dict)
    snapshots: dict[AggregateKey, Snapshot] = field(default_factory=dict)
    store: dict[tuple[AggregateKey, int], Fingerprint] = field(default_factory=dict)
    balances: dict[PropertyKey, dict[date, Balance]] = field(default_factory=dict)
    corrections: dict[CorrectionKey, Fingerprint] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    counts: dict[DayKey, int | None] = field(default_factory=dict)  # as last declared
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    version_gaps: int = 0

    def commit(self, records: Sequence[Judged]) -> Decisions:
        """What `Books.commit` does with the records of a batch, between the fence and the outbox."""
        decisions = decide(records, self._known(records))
        self.properties |= decisions.registered
        for stored in decisions.stored:
            place = (stored.record.key, stored.record.event.version)
            assert place not in self.store, "a version was stored twice"
            self.store[place] = Fingerprint(HASH_VERSION, stored.record.content_hash)
        self.snapshots |= {key: change.after for key, change in decisions.changes.items()}
        for of_lane in decisions.outcomes.values():
            self.outcomes.update(of_lane)
        self.version_gaps += sum(decisions.version_gaps.values())
        for applied in decisions.corrections:
            assert applied.key not in self.corrections, "a correction was applied twice"
            self.corrections[applied.key] = Fingerprint(CORRECTION_HASH_VERSION, applied.content_hash)
        self._move_balances(decisions, len(records))
        return decisions

    def commit_in(self, batches: Iterable[Sequence[Judged]]) -> None:
        for batch in batches:
            self.commit(batch)

    def days(self, key: PropertyKey) -> list[Balance]:
        """The days of a property, ascending; days without movements are left out: they equal absent ones."""
        rows = self.balances.get(key, {})
        return [rows[day] for day in sorted(rows) if any(rows[day].figures)]

    def _known(self, records: Sequence[Judged]) -> Known:
        keys = {record.key for record in accepted(records)}
        snapshots = {key: self.snapshots[key] for key in keys & self.snapshots.keys()}
        probes = versions_to_probe(accepted(records), snapshots)
        stored = {place: self.store[place] for place in probes & self.store.keys()}
        return Known(snapshots, stored, dict(self.properties), DEFAULTS, dict(self.corrections))

    def _move_balances(self, decisions: Decisions, first_sequence: int) -> None:
        movements = coalesce(decisions.changes.items())
        days = [(*key, day) for key, moved in movements.items() for day in moved]
        days += map(day_of, decisions.corrections)
        first_days: dict[PropertyKey, date] = {}
        for org_id, property_id, day in sorted(days, reverse=True):
            first_days[org_id, property_id] = day
        existing = {key: self._from_before(key, first) for key, first in first_days.items()}
        booked = {day: self._booked(day) for day in recomputed_days(decisions.corrections)}
        movements, adjustments = correct(movements, decisions.corrections, existing, booked, first_sequence)
        self.adjustments += adjustments
        self.counts |= {
            day_of(record): record.correction.declared_closing_cents
            for record in decisions.corrections
            if record.correction.declared_closing_cents is not UNSET
        }
        for key, moved in movements.items():
            rows = self.balances.setdefault(key, {})
            changed = carry(*key, existing[key], moved, self.properties[key].opening_cash_cents)
            for row in changed:
                before = rows.get(row.balance_date)
                assert row.version == (before.version if before is not None else 0) + 1
                rows[row.balance_date] = row

    def _from_before(self, key: PropertyKey, first: date) -> list[Balance]:
        """The property's rows from the latest one before `first` on, as `read_balances` has them."""
        rows = self.balances.get(key, {})
        start = max((day for day in rows if day < first), default=first)
        return [rows[day] for day in sorted(rows) if day >= start]

    def _booked(self, key: DayKey) -> Booked:
        """What the rest of the books says of a day, as `read_booked_figures` has it."""
        org_id, property_id, day = key
        booked = NOTHING
        for (org, kind, _), snapshot in self.snapshots.items():
            if (org, snapshot.property_id, snapshot.balance_date) == (org_id, property_id, day):
                cents = [0, 0, 0, 0]
                cents[2 * (kind == "expense") + (snapshot.payment_mode == "bank")] = snapshot.contribution_cents
                booked = booked.plus(Figures(*cents))
        for adjustment in self.adjustments:
            if day_of(adjustment.record) == key:
                booked = booked.plus(adjustment.after.minus(adjustment.before))
        return Booked(booked, self.counts.get(key))
