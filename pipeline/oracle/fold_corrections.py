"""Corrections folded: each once, on top of what was there at that moment."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.oracle.books import (
    CORRECTION_CONFLICT,
    DATABASE_REJECTED,
    ORG_PAUSED,
    PROPERTY_UNKNOWN,
    Adjustment,
    Books,
    DeadLetter,
    Ground,
    Registration,
    Stored,
    contribution_cents,
    property_currency,
    property_unknown,
    rules_at,
)
from pipeline.oracle.decode_corrections import DECLARED_CLOSING, FIGURES, Correction, JudgedCorrection
from pipeline.oracle.movements import NOTHING, DayKey, Movements, moved
from pipeline.oracle.order import Place
from pipeline.oracle.records import Rejected, Rules


def set_apart(
    books: Books, corrections: Mapping[int, Sequence[JudgedCorrection]], ground: Ground
) -> dict[int, list[Correction]]:
    """Quarantine what is refused whenever it comes; returns the others, by lane."""
    others: dict[int, list[Correction]] = {}
    for lane, records in corrections.items():
        others[lane] = []
        for judged in records:
            if isinstance(judged, Rejected):
                books.quarantine_correction(judged, judged.reason)
            elif (lane, judged.offset) in ground.corrections_rejected:
                books.quarantine_correction(judged, DATABASE_REJECTED)
            elif ground.correction_pauses.hold(judged.org_id, lane, judged.offset):
                books.note_route(judged, rules_at(ground.correction_rules[lane], judged.offset))
                books.quarantine_correction(judged, ORG_PAUSED)
            else:
                others[lane].append(judged)
    return others


def watch(books: Books, corrections: Iterable[Correction]) -> None:
    """From now on, keep the movements of the days that these restate."""
    for correction in corrections:
        if correction.content.kind == FIGURES:
            books.restated_days[_day(correction)] = NOTHING


def follow(books: Books, before: Stored | None, after: Stored) -> None:
    """A transaction changed: so do the days that are watched."""
    for stored, sign in ((before, -1), (after, 1)):
        if stored is None:
            continue
        event, content = stored.event, stored.event.content
        day = (event.org_id, content.property_id, stored.balance_date)
        if day in books.restated_days:
            change = moved(event.aggregate_type, content.payment_mode, sign * contribution_cents(stored))
            books.restated_days[day] = books.restated_days[day].plus(change)


def take_correction(books: Books, correction: Correction, ground: Ground, place: Place | None) -> None:
    """The first of its id applies; what comes again under the id must say the same."""
    rules = rules_at(ground.correction_rules[correction.lane], correction.offset)
    books.note_route(correction, rules)
    tally = books.tallies[correction.lane]
    key = (correction.org_id, correction.correction_id)
    known = books.corrections.get(key)
    if known is None and _names_unknown_property(books, correction, ground, rules):
        books.quarantine_correction(correction, PROPERTY_UNKNOWN)
    elif known is None:
        books.corrections[key] = correction
        tally.applied += 1
        _register(books, correction, ground, rules)
        _apply(books, correction, place)
    elif known.content == correction.content:
        tally.duplicate += 1
    else:
        tally.conflict += 1
        dead_letter = DeadLetter(CORRECTION_CONFLICT, correction.digest)
        books.corrections_refused[correction.lane, correction.offset] = dead_letter


def _names_unknown_property(books: Books, correction: Correction, ground: Ground, rules: Rules) -> bool:
    key = (correction.org_id, correction.content.property_id)
    refused_at = ground.corrections_refused_at.get((correction.lane, correction.offset))
    return property_unknown(books, ground, key, rules, refused_at)


def _register(books: Books, correction: Correction, ground: Ground, rules: Rules) -> None:
    """A correction states no currency: an unknown property gets the default."""
    key = (correction.org_id, correction.content.property_id)
    if property_currency(books, ground, key) is None:
        books.registered[key] = Registration(rules.default_currency, rules.default_time_zone)


def _apply(books: Books, correction: Correction, place: Place | None) -> None:
    content, day = correction.content, _day(correction)
    if content.figures is not None:
        recorded_at = None if place is None else place.recorded_at
        adjustment = Adjustment(books.restated_days[day], content.figures, recorded_at)
        books.adjustments[*day, correction.correction_id] = adjustment
        books.restated_days[day] = content.figures
    elif content.kind == DECLARED_CLOSING:
        if content.declared_closing_cents is None:
            books.counted.pop(day, None)
        else:
            books.counted[day] = content.declared_closing_cents
    # What `recompute` asks for holds at any moment here: movements are never anything else than that sum.


def adjusted(books: Books) -> dict[DayKey, Movements]:
    """By how much corrections have changed the movements of days."""
    changes: dict[DayKey, Movements] = {}
    for (org_id, property_id, balance_date, _), adjustment in books.adjustments.items():
        day = (org_id, property_id, balance_date)
        changes[day] = changes.get(day, NOTHING).plus(adjustment.after.minus(adjustment.before))
    return changes


def _day(correction: Correction) -> DayKey:
    return correction.org_id, correction.content.property_id, correction.content.balance_date
