"""What becomes of each record: pure decisions, in offset order, the same for every size of batch.

An event is judged against the newest version of its transaction (the snapshot) and, when it comes late, against what
the store holds under its own version:

    above the snapshot's version    applied
    equal, same content             duplicate
    equal, other content            conflict
    below, same content stored      duplicate
    below, other content stored     conflict
    below, nothing stored           stale: stored for the record, without effect

Within a batch every version reaches the store, and only the newest touches the books.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from msgspec import Struct

from batchers.properties import Property, PropertyDefaults
from schemas.content_hash import CORRECTION_HASH_VERSION, HASH_VERSION, content_hash
from schemas.instants import Instant
from schemas.reasons import Reason
from schemas.records import (
    Accepted,
    AcceptedCorrection,
    AggregateKey,
    CorrectionKey,
    Judged,
    Origin,
    PropertyKey,
    Rejected,
    org_of,
)


class Outcome(StrEnum):
    """What became of a record. Every consumed record has exactly one."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"


# What most records come to. Python 3.11 looks up a member of an enumeration more slowly than all else about a name.
_APPLIED: Final = Outcome.APPLIED


class Fingerprint(Struct, frozen=True, gc=False):
    """The content of a stored version: the hash, and the version of the list of fields that it covers."""

    hash_version: int
    content_hash: bytes


# By key and version, what the batch at hand has stored that is not, or no longer, the newest.
Superseded = dict[tuple[AggregateKey, int], Fingerprint]


class Snapshot(Struct, frozen=True, gc=False):
    """The newest version of a transaction, and what is booked for it."""

    version: int
    fingerprint: Fingerprint
    property_id: int
    occurred_at: Instant
    balance_date: date
    payment_mode: str
    status: str
    amount_cents: int
    created_at: Instant
    created_by_user_id: int
    approved_at: Instant | None
    approved_by_user_id: int | None

    @property
    def contribution_cents(self) -> int:
        """What the transaction adds to its day. Only approved money counts."""
        return self.amount_cents if self.status == "approved" else 0


class Stored(Struct, frozen=True, gc=False):
    """An event that goes to the store."""

    record: Accepted
    outcome: Outcome
    balance_date: date


class Change(Struct, frozen=True, gc=False):
    """A transaction before the batch and after it."""

    before: Snapshot | None
    after: Snapshot
    record: Accepted  # the newest version's
    sequence: int  # place of that record in the batch


@dataclass(slots=True)
class Known:
    """What the database said about the keys of a batch."""

    snapshots: Mapping[AggregateKey, Snapshot]
    stored: Mapping[tuple[AggregateKey, int], Fingerprint]
    properties: Mapping[PropertyKey, Property]
    defaults: PropertyDefaults | None  # None: a property must be loaded before its first record
    corrections: Mapping[CorrectionKey, Fingerprint] = field(default_factory=dict)
    paused_orgs: Collection[int] = ()


@dataclass(slots=True)
class Decisions:
    """The outcome of every record, and what follows from them."""

    outcomes: dict[int, dict[Outcome, int]] = field(default_factory=dict)  # by lane
    version_gaps: dict[int, int] = field(default_factory=dict)  # by lane
    stored: list[Stored] = field(default_factory=list)
    quarantined: list[Rejected] = field(default_factory=list)
    changes: dict[AggregateKey, Change] = field(default_factory=dict)
    corrections: list[AcceptedCorrection] = field(default_factory=list)  # those that apply, in their order
    registered: dict[PropertyKey, Property] = field(default_factory=dict)

    def count(self, lane: int, outcome: Outcome) -> None:
        of_lane = self.outcomes.get(lane)
        if of_lane is None:
            of_lane = self.outcomes[lane] = dict.fromkeys(Outcome, 0)
        of_lane[outcome] += 1


def versions_to_probe(
    events: Iterable[Accepted], snapshots: Mapping[AggregateKey, Snapshot]
) -> set[tuple[AggregateKey, int]]:
    """The versions below their snapshot's, about which only the store can tell."""
    probes = set()
    for record in events:
        snapshot = snapshots.get(record.key)
        if snapshot is not None and record.event.version < snapshot.version:
            probes.add((record.key, record.event.version))
    return probes


def accepted(records: Iterable[Judged]) -> Iterator[Accepted]:
    return (record for record in records if type(record) is Accepted)


def accepted_corrections(records: Iterable[Judged]) -> Iterator[AcceptedCorrection]:
    return (record for record in records if type(record) is AcceptedCorrection)


def decide(records: Iterable[Judged], known: Known) -> Decisions:
    """Decide every record of a batch, in the order given, which is the order of offsets in each feed of a lane."""
    decisions = Decisions()
    superseded: Superseded = {}
    corrections = dict(known.corrections)
    for sequence, judged in enumerate(records):
        record = _set_aside(judged, known.paused_orgs) if known.paused_orgs else judged
        match record:
            case Accepted():
                outcome = _decide_event(record, sequence, known, decisions, superseded)
            case AcceptedCorrection():
                outcome = _decide_correction(record, known, decisions, corrections)
            case Rejected():
                decisions.quarantined.append(record)
                outcome = Outcome.QUARANTINED
        decisions.count(record.origin.lane, outcome)
    return decisions


def _set_aside(record: Judged, paused_orgs: Collection[int]) -> Judged:
    """A paused organisation's records wait among the dead letters, in their order, until it is resumed."""
    org_id = org_of(record)
    if org_id not in paused_orgs:
        return record
    return Rejected(record.origin, Reason.ORG_PAUSED, f"organisation {org_id} is paused")


def _decide_correction(
    record: AcceptedCorrection, known: Known, decisions: Decisions, seen: dict[CorrectionKey, Fingerprint]
) -> Outcome:
    """A correction applies once; what comes again under its id must say the same."""
    correction = record.correction
    fingerprint = Fingerprint(CORRECTION_HASH_VERSION, record.content_hash)
    before = seen.get(record.key)
    if before is None:
        if _property_of((correction.org_id, correction.property_id), None, known, decisions) is None:
            return _property_unknown(record.origin, correction.property_id, decisions)
        seen[record.key] = fingerprint
        decisions.corrections.append(record)
        return Outcome.APPLIED
    if before == fingerprint:
        return Outcome.DUPLICATE
    detail = f"another body is applied as correction {correction.correction_id}"
    decisions.quarantined.append(Rejected(record.origin, Reason.CORRECTION_CONFLICT, detail))
    return Outcome.CONFLICT


def _decide_event(
    record: Accepted,
    sequence: int,
    known: Known,
    decisions: Decisions,
    superseded: Superseded,
) -> Outcome:
    event, currency = record.event, record.event.data.currency
    property_ = _property_of((event.org_id, event.property_id), currency, known, decisions)
    if property_ is None:
        return _property_unknown(record.origin, event.property_id, decisions)
    if currency is not None and currency != property_.currency:
        detail = f"currency {currency}; property {event.property_id} keeps {property_.currency}"
        decisions.quarantined.append(Rejected(record.origin, Reason.CURRENCY_MISMATCH, detail))
        return Outcome.QUARANTINED
    key = record.key
    change = decisions.changes.get(key)
    current = change.after if change is not None else known.snapshots.get(key)
    if current is not None and event.version <= current.version:
        return _decide_late(record, current, property_, known, decisions, superseded)
    balance_date = property_.balance_date(event.occurred_at)
    decisions.stored.append(Stored(record, _APPLIED, balance_date))
    before_version = current.version if current is not None else 0
    if event.version != before_version + 1:
        lane = record.origin.lane
        decisions.version_gaps[lane] = decisions.version_gaps.get(lane, 0) + 1
    if change is not None:
        superseded[key, before_version] = change.after.fingerprint
    before = change.before if change is not None else current
    decisions.changes[key] = Change(before, next_snapshot(current, record, balance_date), record, sequence)
    return _APPLIED


def _decide_late(
    record: Accepted,
    current: Snapshot,
    property_: Property,
    known: Known,
    decisions: Decisions,
    superseded: Superseded,
) -> Outcome:
    """An event that is not above the newest version of its transaction: it may be stored, and changes nothing."""
    key, event = record.key, record.event
    stored = _stored(key, event.version, current, known, superseded)
    if stored is None:
        superseded[key, event.version] = Fingerprint(HASH_VERSION, record.content_hash)
        decisions.stored.append(Stored(record, Outcome.STALE, property_.balance_date(event.occurred_at)))
        return Outcome.STALE
    if _same_content(record, stored):
        return Outcome.DUPLICATE
    detail = f"another body is booked as version {event.version} of {key[1]} {event.aggregate_id}"
    decisions.quarantined.append(Rejected(record.origin, Reason.VERSION_CONFLICT, detail))
    return Outcome.CONFLICT


def _property_of(key: PropertyKey, currency: str | None, known: Known, decisions: Decisions) -> Property | None:
    """The property, registered now where that is allowed; None where it had to be loaded, and was not."""
    property_ = known.properties.get(key) or decisions.registered.get(key)
    if property_ is None and known.defaults is not None:
        property_ = decisions.registered[key] = known.defaults.register(currency)
    return property_


def _property_unknown(origin: Origin, property_id: int, decisions: Decisions) -> Outcome:
    detail = f"property {property_id} is not loaded"
    decisions.quarantined.append(Rejected(origin, Reason.PROPERTY_UNKNOWN, detail))
    return Outcome.QUARANTINED


def _stored(
    key: AggregateKey, version: int, current: Snapshot, known: Known, superseded: Superseded
) -> Fingerprint | None:
    """What is stored under a version: the snapshots tell of their own, the batch and the store of those below."""
    if version == current.version:
        return current.fingerprint
    within_batch = superseded.get((key, version))
    if within_batch is not None:
        return within_batch
    snapshot = known.snapshots.get(key)
    if snapshot is not None and snapshot.version == version:
        return snapshot.fingerprint
    return known.stored.get((key, version))


def _same_content(record: Accepted, stored: Fingerprint) -> bool:
    if stored.hash_version == HASH_VERSION:
        return stored.content_hash == record.content_hash
    return stored.content_hash == content_hash(record.event, stored.hash_version)


def next_snapshot(current: Snapshot | None, record: Accepted, balance_date: date) -> Snapshot:
    """The state that an applied event leaves: its own data, with who made and who approved it kept from before."""
    event, data = record.event, record.event.data
    appended_at, user_id = record.appended_at, event.recorded_by.user_id
    approved_at: Instant | None = None
    approved_by: int | None = None
    if data.status == "approved":
        if current is not None and current.status == "approved":
            approved_at, approved_by = current.approved_at, current.approved_by_user_id
        else:
            approved_at, approved_by = appended_at, user_id
    return Snapshot(
        version=event.version,
        fingerprint=Fingerprint(HASH_VERSION, record.content_hash),
        property_id=event.property_id,
        occurred_at=record.occurred_at,
        balance_date=balance_date,
        payment_mode=data.payment_mode,
        status=data.status,
        amount_cents=data.amount_cents,
        created_at=current.created_at if current is not None else appended_at,
        created_by_user_id=current.created_by_user_id if current is not None else user_id,
        approved_at=approved_at,
        approved_by_user_id=approved_by,
    )
