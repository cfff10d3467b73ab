"""The decisions of a batch applied to dictionaries: the books without a database, for tests of the plain functions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b

from batchers.carry import Balance, carry
from batchers.coalesce import coalesce
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
from schemas.content_hash import HASH_VERSION
from schemas.records import AggregateKey, Judged, PropertyKey

DEFAULTS = PropertyDefaults("INR", "Asia/Kolkata")


@dataclass
class MemoryBooks:
    """One lane's books."""

    properties: dict[PropertyKey, Property] = field(default_factory=dict)
    snapshots: dict[AggregateKey, Snapshot] = field(default_factory=dict)
    store: dict[tuple[AggregateKey, int], Fingerprint] = field(default_factory=dict)
    balances: dict[PropertyKey, dict[date, Balance]] = field(default_factory=dict)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    version_gaps: int = 0
    chain: bytes = bytes(16)

    def commit(self, records: Sequence[Judged]) -> Decisions:
        """What `Books.commit` does with one slice, between the fence and the outbox."""
        decisions = decide(records, self._known(records))
        self.properties |= decisions.registered
        for stored in decisions.stored:
            place = (stored.record.key, stored.record.event.version)
            assert place not in self.store, "a version was stored twice"
            self.store[place] = Fingerprint(HASH_VERSION, stored.record.content_hash)
            self.chain = blake2b(self.chain + stored.record.content_hash, digest_size=16).digest()
        self.snapshots |= {key: change.after for key, change in decisions.changes.items()}
        for of_lane in decisions.outcomes.values():
            self.outcomes.update(of_lane)
        self.version_gaps += sum(decisions.version_gaps.values())
        self._move_balances(decisions)
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
        probes = versions_to_probe(records, snapshots)
        stored = {place: self.store[place] for place in probes & self.store.keys()}
        return Known(snapshots, stored, dict(self.properties), DEFAULTS)

    def _move_balances(self, decisions: Decisions) -> None:
        for key, movements in coalesce(decisions.changes.items()).items():
            rows = self.balances.setdefault(key, {})
            first = min(movements)
            earlier = [day for day in rows if day < first]
            existing = [rows[day] for day in sorted(rows) if day >= max(earlier, default=first)]
            changed = carry(*key, existing, movements, self.properties[key].opening_cash_cents)
            for row in changed:
                before = rows.get(row.balance_date)
                assert row.version == (before.version if before is not None else 0) + 1
                rows[row.balance_date] = row
