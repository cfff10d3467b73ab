"""What the books must say: the topics' records, in order, folded into plain dictionaries.

One record at a time, no batches, no database, no cleverness: what the pipeline does in bulk and in SQL is
done here as one would explain it. Records in, Books out.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import chain
from operator import attrgetter
from zoneinfo import ZoneInfo

from pipeline.oracle.books import (
    APPLIED,
    CONFLICT,
    CURRENCY_MISMATCH,
    DATABASE_REJECTED,
    DUPLICATE,
    ORG_PAUSED,
    PROPERTY_UNKNOWN,
    STALE,
    VERSION_CONFLICT,
    Books,
    DeadLetter,
    Ground,
    Registration,
    Stored,
    Zone,
    property_currency,
    property_unknown,
    rules_at,
)
from pipeline.oracle.decode import Event, Judged
from pipeline.oracle.decode_corrections import Correction, JudgedCorrection
from pipeline.oracle.fold_corrections import follow, set_apart, take_correction, watch
from pipeline.oracle.order import UNTOLD, Events, Order, eras, in_order
from pipeline.oracle.records import Rejected, Rules


def fold(
    events: Events,
    ground: Ground,
    corrections: Mapping[int, Sequence[JudgedCorrection]] | None = None,
    order: Order = UNTOLD,
) -> Books:
    """Fold the records of both topics by lane, each in offset order, and between them in the order that was told."""
    books = Books()
    accepted = set_apart(books, corrections or {}, ground)
    watch(books, chain.from_iterable(accepted.values()))
    for judged in _in_order(events, accepted, ground, order):
        if isinstance(judged, Correction):
            take_correction(books, judged, ground, order.places.get((judged.lane, judged.offset)))
        elif isinstance(judged, Rejected):
            books.quarantine(judged, judged.reason)
        elif (judged.lane, judged.offset) in ground.database_rejected:
            books.quarantine(judged, DATABASE_REJECTED)
        else:
            _take(books, judged, ground)
    return books


def _in_order(
    events: Events, corrections: Mapping[int, Sequence[Correction]], ground: Ground, order: Order
) -> Iterator[Judged | Correction]:
    for era in eras(events, corrections, ground.rules, ground.correction_rules):
        yield from in_order(era.events, era.corrections, order)


def _take(books: Books, event: Event, ground: Ground) -> None:
    rules = rules_at(ground.rules[event.lane], event.offset)
    books.note_route(event, rules)
    key = (event.org_id, event.content.property_id)
    if ground.pauses.hold(event.org_id, event.lane, event.offset):
        books.quarantine(event, ORG_PAUSED)
    elif property_unknown(books, ground, key, rules, ground.refused_at.get((event.lane, event.offset))):
        books.quarantine(event, PROPERTY_UNKNOWN)
    elif _currency_agrees(books, event, ground, rules):
        _book(books, event, ground)
    else:
        books.quarantine(event, CURRENCY_MISMATCH)


def _currency_agrees(books: Books, event: Event, ground: Ground, rules: Rules) -> bool:
    """Whether the event is in its property's currency; what first names an unknown property settles it."""
    key = (event.org_id, event.content.property_id)
    stated = event.content.currency
    settled = property_currency(books, ground, key)
    if settled is None:
        books.registered[key] = Registration(stated or rules.default_currency, rules.default_time_zone)
        return True
    return stated is None or stated == settled


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
        if event.user_name is not None:
            books.named[event.org_id, event.content.user_id] = event
        if outcome == STALE:
            tally.stale += 1
        else:
            tally.applied += 1
            tally.version_gaps += event.version != current + 1
            books.newest[key] = stored
            if books.restated_days:
                follow(books, newest, stored)


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
