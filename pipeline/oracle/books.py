"""What the database must hold, what is taken from it as given, and the words for both."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import attrgetter
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.oracle.decode import Event
from pipeline.oracle.decode_corrections import Correction
from pipeline.oracle.movements import DayKey, Movements
from pipeline.oracle.pauses import NO_PAUSES, Pauses
from pipeline.oracle.records import Rejected, Rules
from pipeline.oracle.routing import home_lane

PropertyKey = tuple[int, int]  # org, property
AggregateKey = tuple[int, str, int]  # org, aggregate type, aggregate id
VersionKey = tuple[int, str, int, int]  # the same, and the version
UserKey = tuple[int, int]  # org, user id
RecordKey = tuple[int, int]  # lane, offset
CorrectionKey = tuple[int, bytes]  # org, correction id
AdjustmentKey = tuple[int, int, date, bytes]  # a day, and the correction that adjusted it

APPLIED: Final = "applied"
DUPLICATE: Final = "duplicate"
STALE: Final = "stale"
CONFLICT: Final = "conflict"
QUARANTINED: Final = "quarantined"

VERSION_CONFLICT: Final = "version_conflict"
ORG_PAUSED: Final = "org_paused"
PROPERTY_UNKNOWN: Final = "property_unknown"
CURRENCY_MISMATCH: Final = "currency_mismatch"
DATABASE_REJECTED: Final = "database_rejected"
CORRECTION_CONFLICT: Final = "correction_conflict"

REGISTER: Final = "register"  # what becomes of an unknown property, as the lanes record it


class Zone(NamedTuple):
    """The time zone of a property from an instant on."""

    valid_from: datetime
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Ground:
    """What the fold takes as given, because the topics do not tell it."""

    rules: Mapping[int, Sequence[Rules]]  # by lane, in order of position
    loaded_currencies: Mapping[PropertyKey, str]  # of properties that were loaded by command
    zones: Mapping[PropertyKey, Sequence[Zone]]  # oldest first
    database_rejected: frozenset[RecordKey]
    correction_rules: Mapping[int, Sequence[Rules]]  # by lane, in order of position in the topic of corrections
    corrections_rejected: frozenset[RecordKey]  # by the database
    pauses: Pauses = NO_PAUSES  # of finance-events
    correction_pauses: Pauses = NO_PAUSES
    # Where no rules ever asked for properties to be loaded, nobody asks for these three: they are empty.
    known_since: Mapping[PropertyKey, datetime] = field(default_factory=dict)  # in the order of recording
    refused_at: Mapping[RecordKey, datetime] = field(default_factory=dict)  # in the same order: dead letters of events
    corrections_refused_at: Mapping[RecordKey, datetime] = field(default_factory=dict)


class Registration(NamedTuple):
    """What a property that nobody loaded was given by its first event or correction."""

    currency: str
    time_zone: str


class Stored(NamedTuple):
    """An event as the event store must hold it."""

    event: Event
    outcome: str
    balance_date: date


class Adjustment(NamedTuple):
    """What a figures correction did to the movements of its day."""

    before: Movements
    after: Movements
    recorded_at: datetime | None  # None where the database has no such correction


class DeadLetter(NamedTuple):
    """Why a record is among the dead letters, and the SHA-256 of its bytes."""

    reason: str
    digest: bytes | None


@dataclass(slots=True)
class Tally:
    """What became of the records of a lane, of both topics."""

    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    conflict: int = 0
    quarantined: int = 0
    version_gaps: int = 0
    misrouted: int = 0

    @property
    def records(self) -> int:
        """Every record has exactly one outcome."""
        return self.applied + self.duplicate + self.stale + self.conflict + self.quarantined


@dataclass(slots=True)
class Books:
    """What the database must hold."""

    stored: dict[VersionKey, Stored] = field(default_factory=dict)
    newest: dict[AggregateKey, Stored] = field(default_factory=dict)
    dead_letters: dict[RecordKey, DeadLetter] = field(default_factory=dict)
    registered: dict[PropertyKey, Registration] = field(default_factory=dict)
    corrections: dict[CorrectionKey, Correction] = field(default_factory=dict)  # those that were applied
    corrections_refused: dict[RecordKey, DeadLetter] = field(default_factory=dict)
    adjustments: dict[AdjustmentKey, Adjustment] = field(default_factory=dict)
    counted: dict[DayKey, int] = field(default_factory=dict)  # declared closings, in cents
    # The movements so far, of the days that some correction restates: it must know what it restates.
    restated_days: dict[DayKey, Movements] = field(default_factory=dict)
    named: dict[UserKey, Event] = field(default_factory=dict)  # the newest stored event that names each user
    tallies: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    misrouted_orgs: set[int] = field(default_factory=set)

    def quarantine(self, record: Event | Rejected, reason: str) -> None:
        """A record of `finance-events` goes to the dead letters."""
        self.dead_letters[record.lane, record.offset] = DeadLetter(reason, record.digest)
        self.tallies[record.lane].quarantined += 1

    def quarantine_correction(self, record: Correction | Rejected, reason: str) -> None:
        """A record of `balance-corrections` goes to the dead letters."""
        self.corrections_refused[record.lane, record.offset] = DeadLetter(reason, record.digest)
        self.tallies[record.lane].quarantined += 1

    def note_route(self, record: Event | Correction, rules: Rules) -> None:
        """Whoever sends with another partitioner than Kafka's default is counted, whatever becomes of the record."""
        if home_lane(record.org_id, rules.lane_count) != record.lane:
            self.tallies[record.lane].misrouted += 1
            self.misrouted_orgs.add(record.org_id)


def rules_at(rules: Sequence[Rules], offset: int) -> Rules:
    """The rules in force at an offset: the newest that began at or before it."""
    if len(rules) == 1:  # as nearly always, and asked for each record
        return rules[0]
    return rules[bisect_right(rules, offset, key=attrgetter("position")) - 1]


def property_unknown(books: Books, ground: Ground, key: PropertyKey, rules: Rules, refused_at: datetime | None) -> bool:
    """Whether a record names a property that had to be loaded, and was not when the record was judged.

    `refused_at` is when the record went to the dead letters; None where it did not. Where both are told, the order of
    recording decides: a property that came later was unknown. What was booked is held against that order elsewhere.
    """
    if rules.unknown_property == REGISTER:
        return False
    known_since = ground.known_since.get(key)
    if refused_at is not None and known_since is not None:
        return refused_at < known_since
    return key not in ground.loaded_currencies and key not in books.registered


def property_currency(books: Books, ground: Ground, key: PropertyKey) -> str | None:
    """The currency that a property was loaded with, else the one it registered itself with."""
    loaded = ground.loaded_currencies.get(key)
    if loaded is not None:
        return loaded
    registered = books.registered.get(key)
    return registered.currency if registered else None


def contribution_cents(stored: Stored) -> int:
    """What a transaction adds to its day: only approved money counts."""
    content = stored.event.content
    return content.amount_cents if content.status == "approved" else 0
