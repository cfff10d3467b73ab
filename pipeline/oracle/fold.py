"""What the books must say: the topic's records, in order, folded into plain dictionaries.

One record at a time, no batches, no database, no cleverness: what the pipeline does in bulk and in SQL is
done here as one would explain it. Records in, Books out.
"""

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.oracle.decode import Event, Judged, Rejected, Rules
from pipeline.oracle.routing import home_lane

PropertyKey = tuple[int, int]  # org, property
AggregateKey = tuple[int, str, int]  # org, aggregate type, aggregate id
VersionKey = tuple[int, str, int, int]  # the same, and the version
RecordKey = tuple[int, int]  # lane, offset

APPLIED: Final = "applied"
DUPLICATE: Final = "duplicate"
STALE: Final = "stale"
CONFLICT: Final = "conflict"
QUARANTINED: Final = "quarantined"

VERSION_CONFLICT: Final = "version_conflict"
CURRENCY_MISMATCH: Final = "currency_mismatch"
DATABASE_REJECTED: Final = "database_rejected"


class Zone(NamedTuple):
    """The time zone of a property from an instant on."""

    valid_from: datetime
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Ground:
    """What the fold takes as given, because the topic does not tell it."""

    rules: Mapping[int, Sequence[Rules]]  # by lane, in order of position
    loaded_currencies: Mapping[PropertyKey, str]  # of properties that were loaded by command
    zones: Mapping[PropertyKey, Sequence[Zone]]  # oldest first
    database_rejected: frozenset[RecordKey]
    lane_count: int


class OnSeveralLanes(NamedTuple):
    """Orgs whose records are on several lanes, and when the store recorded their events: any order that keeps each
    lane's own is right, and this is the one that the pipeline says it took.
    """

    orgs: frozenset[int]
    recorded_at: Mapping[RecordKey, datetime]


Lanes = Mapping[int, Sequence[Judged]]
NOBODY: Final = OnSeveralLanes(frozenset(), {})


class Registration(NamedTuple):
    """What a property that nobody loaded was given by its first event."""

    currency: str
    time_zone: str


class Stored(NamedTuple):
    """An event as the event store must hold it."""

    event: Event
    outcome: str
    balance_date: date


class DeadLetter(NamedTuple):
    """Why a record is among the dead letters, and the SHA-256 of its bytes."""

    reason: str
    digest: bytes | None


@dataclass(slots=True)
class Tally:
    """What became of the records of a lane."""

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
    tallies: defaultdict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    misrouted_orgs: set[int] = field(default_factory=set)


def rules_at(rules: Sequence[Rules], offset: int) -> Rules:
    """The rules in force at an offset: the newest that began at or before it."""
    return rules[bisect_right(rules, offset, key=attrgetter("position")) - 1]


def fold(lanes: Lanes, ground: Ground, several: OnSeveralLanes = NOBODY) -> Books:
    """Fold the lanes' records, each lane in offset order."""
    books = Books()
    for judged in _in_order(lanes, several):
        if isinstance(judged, Rejected):
            _quarantine(books, judged, judged.reason)
        elif (judged.lane, judged.offset) in ground.database_rejected:
            _quarantine(books, judged, DATABASE_REJECTED)
        else:
            _note_route(books, judged, ground)
            _take(books, judged, ground)
    return books


def orgs_on_several_lanes(lanes: Lanes) -> frozenset[int]:
    """The orgs whose producers disagree about their lane, so that the topic alone does not tell their order."""
    lane_of: dict[int, int] = {}
    several = set()
    for lane, records in lanes.items():
        for judged in records:
            if isinstance(judged, Event) and lane_of.setdefault(judged.org_id, lane) != lane:
                several.add(judged.org_id)
    return frozenset(several)


def _in_order(lanes: Lanes, several: OnSeveralLanes) -> Iterator[Judged]:
    """Lane after lane; then the orgs on several, whose lanes are interleaved as the event store recorded them.

    No org meets another, so it does not matter that some come last.
    """
    apart = several.orgs
    for lane in sorted(lanes):
        yield from (judged for judged in lanes[lane] if isinstance(judged, Rejected) or judged.org_id not in apart)
    if apart:
        stamped = [_stamped(lanes[lane], several) for lane in sorted(lanes)]
        # A merge, not a sort: within a lane the offsets decide, whatever the stamps say.
        yield from (event for _, event in heapq.merge(*stamped, key=itemgetter(0)))


def _stamped(records: Sequence[Judged], several: OnSeveralLanes) -> list[tuple[datetime, Event]]:
    """A lane's events of orgs on several lanes, with the times at which they were recorded.

    What was not stored goes as late as its lane allows: a duplicate remains one however late it comes.
    """
    stamped: list[tuple[datetime, Event]] = []
    stamp = datetime.max.replace(tzinfo=UTC)
    for judged in reversed(records):
        if isinstance(judged, Event) and judged.org_id in several.orgs:
            stamp = several.recorded_at.get((judged.lane, judged.offset), stamp)
            stamped.append((stamp, judged))
    return stamped[::-1]


def _quarantine(books: Books, judged: Judged, reason: str) -> None:
    books.dead_letters[judged.lane, judged.offset] = DeadLetter(reason, judged.digest)
    books.tallies[judged.lane].quarantined += 1


def _note_route(books: Books, event: Event, ground: Ground) -> None:
    """Whoever sends with another partitioner than Kafka's default is counted, whatever becomes of the event."""
    if home_lane(event.org_id, ground.lane_count) != event.lane:
        books.tallies[event.lane].misrouted += 1
        books.misrouted_orgs.add(event.org_id)


def _take(books: Books, event: Event, ground: Ground) -> None:
    if _currency_agrees(books, event, ground):
        _book(books, event, ground)
    else:
        _quarantine(books, event, CURRENCY_MISMATCH)


def _currency_agrees(books: Books, event: Event, ground: Ground) -> bool:
    """Whether the event is in its property's currency; the first event of an unknown property settles it."""
    key = (event.org_id, event.content.property_id)
    stated = event.content.currency
    settled = property_currency(books, ground, key)
    if settled is None:
        rules = rules_at(ground.rules[event.lane], event.offset)
        books.registered[key] = Registration(stated or rules.default_currency, rules.default_time_zone)
        return True
    return stated is None or stated == settled


def property_currency(books: Books, ground: Ground, key: PropertyKey) -> str | None:
    """The currency that a property was loaded with, else the one it registered itself with."""
    loaded = ground.loaded_currencies.get(key)
    if loaded is not None:
        return loaded
    registered = books.registered.get(key)
    return registered.currency if registered else None


def _book(books: Books, event: Event, ground: Ground) -> None:
    key = (event.org_id, event.aggregate_type, event.aggregate_id)
    newest = books.newest.get(key)
    current = newest.event.version if newest else 0
    outcome = _decide(books, event, newest)
    tally = books.tallies[event.lane]
    if outcome == DUPLICATE:
        tally.duplicate += 1
    elif outcome == CONFLICT:
        tally.conflict += 1
        books.dead_letters[event.lane, event.offset] = DeadLetter(VERSION_CONFLICT, event.digest)
    else:
        stored = Stored(event, outcome, balance_date(event, ground))
        books.stored[*key, event.version] = stored
        if outcome == STALE:
            tally.stale += 1
        else:
            tally.applied += 1
            tally.version_gaps += event.version != current + 1
            books.newest[key] = stored


def _decide(books: Books, event: Event, newest: Stored | None) -> str:
    """What an event is, given the newest version of its transaction and all that were stored before."""
    if newest is None or event.version > newest.event.version:
        return APPLIED
    known = books.stored.get((event.org_id, event.aggregate_type, event.aggregate_id, event.version))
    if known is None:
        return STALE
    return DUPLICATE if known.event.content == event.content else CONFLICT


def balance_date(event: Event, ground: Ground) -> date:
    """The calendar day at the property when the money moved."""
    occurred_at = event.content.occurred_at
    zones = ground.zones.get((event.org_id, event.content.property_id))
    if zones:
        zone = zones[0].zone if len(zones) == 1 else _zone_at(zones, occurred_at)
    else:
        zone = ZoneInfo(rules_at(ground.rules[event.lane], event.offset).default_time_zone)
    return occurred_at.astimezone(zone).date()


def _zone_at(zones: Sequence[Zone], instant: datetime) -> ZoneInfo:
    return zones[max(bisect_right(zones, instant, key=attrgetter("valid_from")) - 1, 0)].zone


def contribution_cents(stored: Stored) -> int:
    """What a transaction adds to its day: only approved money counts."""
    content = stored.event.content
    return content.amount_cents if content.status == "approved" else 0
