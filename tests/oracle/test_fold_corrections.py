"""The fold with corrections: each once, on top of what was there at that moment."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from pipeline.oracle.books import Books, Registration, Tally
from pipeline.oracle.daily import Figures, by_property, carry, movements
from pipeline.oracle.decode import Event, Judged
from pipeline.oracle.decode_corrections import Correction, JudgedCorrection
from pipeline.oracle.fold import fold
from pipeline.oracle.fold_corrections import adjusted
from pipeline.oracle.movements import Movements
from pipeline.oracle.order import Order, Place, orgs_on_several_lanes
from pipeline.oracle.pauses import Pauses, Stretch
from tests.oracle.builders import NOON, ORG, PROPERTY, RULES, correction, event, ground, lanes_of, rejected

DAY = [date(2026, 5, day) for day in range(1, 8)]
KEY = (ORG, PROPERTY)


def in_this_order(*records: Event | Correction, given: Any = None) -> Books:
    """Fold records of one lane, recorded in this order: that of the offsets, and of corrections behind events."""
    events: list[Judged] = []
    corrections: list[JudgedCorrection] = []
    places = {}
    for number, record in enumerate(records):
        if isinstance(record, Event):
            events.append(record._replace(offset=len(events)))
        else:
            places[0, len(corrections)] = Place(len(events), NOON + timedelta(seconds=number))
            corrections.append(record._replace(offset=len(corrections)))
    return fold({0: events}, given or ground(), {0: corrections}, Order(places=places))


def received(aggregate_id: int, day: date, cents: int, **changes: Any) -> Event:
    occurred_at = NOON + timedelta(days=(day - DAY[0]).days)
    return event(aggregate_id=aggregate_id, occurred_at=occurred_at, amount_cents=cents, **changes)


def count(number: int, day: date, cents: int | None) -> Correction:
    return correction(correction_id=bytes([number]) * 16, balance_date=day, declared_closing_cents=cents)


def restate(number: int, day: date, *cents: int) -> Correction:
    return correction(correction_id=bytes([number]) * 16, balance_date=day, figures=Movements(*cents))


def days(books: Books) -> list[tuple[date, Figures]]:
    """The days of the property as they come out."""
    moved = movements(books.newest.values(), adjusted(books)).get(KEY, {})
    counted = by_property(books.counted).get(KEY, {})
    return list(carry(dict.fromkeys(counted, Movements()) | dict(moved), 0, counted))


def test_the_worked_case() -> None:
    """Opening 0; D1 takes in 100, D2 is counted at 90; then 20 more come in late for D1, D3 opens with the count."""
    first, counted, late = received(1, DAY[0], 100), count(1, DAY[1], 90), received(2, DAY[0], 20)
    third = received(3, DAY[2], 5)
    assert days(in_this_order(first, counted, late, third)) == [
        (DAY[0], Figures(0, 120, 0, 0, 0, 120, None, 120, 0)),
        (DAY[1], Figures(120, 0, 0, 0, 0, 120, 90, 90, -30)),
        (DAY[2], Figures(90, 5, 0, 0, 0, 95, None, 95, 0)),
    ]
    withdrawn = in_this_order(first, counted, late, third, count(2, DAY[1], None))
    assert days(withdrawn)[1:] == [(DAY[2], Figures(120, 5, 0, 0, 0, 125, None, 125, 0))]


def test_a_later_count_counts() -> None:
    assert in_this_order(count(1, DAY[0], 5), count(2, DAY[0], 6)).counted == {(*KEY, DAY[0]): 6}


def test_figures_become_what_they_add_to_what_was_there_at_that_moment() -> None:
    books = in_this_order(
        received(1, DAY[0], 100),
        restate(1, DAY[0], 70, 5, 0, 1),
        received(2, DAY[0], 20),
        received(1, DAY[0], 150, version=2),
        restate(2, DAY[0], 0, 0, 30, 0),
        received(1, DAY[1], 150, version=3),  # moves away: its day keeps what was adjusted
    )
    found = [(adjustment.before, adjustment.after) for adjustment in books.adjustments.values()]
    assert found == [
        (Movements(100), Movements(70, 5, 0, 1)),
        (Movements(140, 5, 0, 1), Movements(0, 0, 30, 0)),
    ]
    assert dict(movements(books.newest.values(), adjusted(books))[KEY]) == {
        DAY[0]: Movements(-150, 0, 30, 0),
        DAY[1]: Movements(150),
    }
    assert list(books.adjustments) == [(*KEY, DAY[0], bytes([number]) * 16) for number in (1, 2)]
    assert [each.recorded_at for each in books.adjustments.values()] == [NOON + timedelta(seconds=at) for at in (1, 4)]


def test_what_does_not_count_yet_is_not_restated() -> None:
    books = in_this_order(
        received(1, DAY[0], 100, status="pending"),
        received(2, DAY[0], 7, version=2),
        received(2, DAY[0], 5),  # stale
        restate(1, DAY[0], 1),
    )
    [adjustment] = books.adjustments.values()
    assert adjustment.before == Movements(7)


def test_figures_that_change_nothing_are_an_adjustment_too() -> None:
    books = in_this_order(received(1, DAY[0], 100), restate(1, DAY[0], 100))
    assert len(books.adjustments) == 1
    assert days(books) == [(DAY[0], Figures(0, 100, 0, 0, 0, 100, None, 100, 0))]


def test_recompute_weighs_nothing() -> None:
    again = correction(kind="recompute", declared_closing_cents=None, correction_id=b"r" * 16)
    with_it = in_this_order(received(1, DAY[0], 100), restate(1, DAY[0], 70), count(2, DAY[0], 1), again)
    without = in_this_order(received(1, DAY[0], 100), restate(1, DAY[0], 70), count(2, DAY[0], 1))
    assert days(with_it) == days(without)
    assert with_it.tallies[0].applied == without.tallies[0].applied + 1


SOMETHING_ELSE: dict[str, Any] = {
    "property_id": PROPERTY + 1,
    "balance_date": DAY[1],
    "kind": "recompute",
    "figures": Movements(1, 1, 1, 2),
    "declared_closing_cents": 91,
    "reason": "otherwise",
    "user_id": 2,
    "issued_at": NOON + timedelta(microseconds=1),
}


def test_the_first_of_its_id_applies_the_same_again_is_a_duplicate_and_anything_else_a_conflict() -> None:
    first = correction(figures=Movements(1, 1, 1, 1), declared_closing_cents=90)
    for name, value in first.content._asdict().items():
        changed = first._replace(content=first.content._replace(**{name: SOMETHING_ELSE[name]}))
        assert changed.content._asdict()[name] != value
        books = in_this_order(first, changed, first, changed)
        assert books.tallies == {0: Tally(applied=1, duplicate=1, conflict=2)}, name
        assert {key: letter.reason for key, letter in books.corrections_refused.items()} == {
            (0, 1): "correction_conflict",
            (0, 3): "correction_conflict",
        }
        assert not books.dead_letters
        assert len(books.adjustments) == 1
    assert in_this_order(first, first._replace(org_id=8)).tallies[0].applied == 2


def test_what_is_refused_has_no_effect_and_does_not_mix_with_events_of_the_same_offset() -> None:
    given = ground(corrections_rejected=frozenset({(0, 1)}))
    corrections: list[JudgedCorrection] = [rejected(0, "malformed"), correction(1), correction(2, balance_date=DAY[2])]
    events: list[Judged] = [event(0), event(1, version=2)]
    books = fold({0: events}, given, {0: corrections})
    assert {key: letter.reason for key, letter in books.corrections_refused.items()} == {
        (0, 0): "malformed",
        (0, 1): "database_rejected",
    }
    assert books.tallies == {0: Tally(applied=3, quarantined=2)}
    assert list(books.counted) == [(*KEY, DAY[2])]
    assert not books.dead_letters


# --- properties ---


def test_an_unknown_property_gets_the_defaults_of_the_rules_in_force() -> None:
    later = RULES._replace(position=1, default_currency="EUR", default_time_zone="Europe/Paris")
    given = ground(correction_rules={0: [RULES, later]})
    books = in_this_order(count(1, DAY[0], 1), correction(property_id=71, correction_id=b"x" * 16), given=given)
    assert books.registered == {
        KEY: Registration("INR", "Asia/Kolkata"),
        (ORG, 71): Registration("EUR", "Europe/Paris"),
    }


@pytest.mark.parametrize(("turn", "currency"), [(1, "USD"), (-1, "INR")])
def test_what_names_a_property_first_settles_its_currency(turn: int, currency: str) -> None:
    records: Sequence[Event | Correction] = (received(1, DAY[0], 5, currency="USD"), count(1, DAY[0], 1))
    books = in_this_order(*records[::turn])
    assert books.registered[KEY].currency == currency
    assert books.tallies[0].quarantined == (currency == "INR")


def test_a_correction_of_a_known_property_leaves_its_currency() -> None:
    assert not in_this_order(count(1, DAY[0], 1), given=ground(loaded={KEY: "USD"})).registered


# --- lanes ---


def test_whoever_comes_by_another_lane_than_its_home_is_counted_whatever_becomes_of_it() -> None:
    records: list[JudgedCorrection] = [
        correction(0, lane=5),
        correction(1, lane=5, correction_id=bytes(16)),
        rejected(2, lane=5),
    ]
    books = fold({}, ground(), {5: records})
    assert books.tallies == {5: Tally(applied=1, duplicate=1, quarantined=1, misrouted=2)}
    assert books.misrouted_orgs == {ORG}


def test_an_org_with_corrections_on_another_lane_is_folded_in_the_order_of_the_database() -> None:
    events = lanes_of(event(0, amount_cents=100), event(1, aggregate_id=2, amount_cents=20))
    corrections = {1: [correction(0, lane=1, figures=Movements(7))]}
    several = orgs_on_several_lanes(events, corrections)
    assert several == {ORG}
    recorded_at = {(0, 0): NOON, (0, 1): NOON + timedelta(seconds=2)}
    for second, before in ((1, 100), (3, 120)):
        places = {(1, 0): Place(0, NOON + timedelta(seconds=second))}
        books = fold(events, ground(), corrections, Order(several, recorded_at, places))
        assert [adjustment.before.cash_received_cents for adjustment in books.adjustments.values()] == [before]


def test_corrections_of_a_paused_organisation_are_set_aside() -> None:
    pauses = Pauses([(ORG, 0, Stretch(1, 2))])
    records = [correction(cents, declared_closing_cents=cents) for cents in (1, 2, 3)]
    books = in_this_order(*records, given=ground(pauses=pauses))
    assert {place: letter.reason for place, letter in books.corrections_refused.items()} == {(0, 1): "org_paused"}
    assert books.tallies[0].applied == 2
    assert list(books.counted.values()) == [3]


# --- properties that must be loaded ---


@pytest.mark.parametrize(
    ("known_since", "refused", "taken"),
    [(None, False, False), (NOON, True, False), (NOON, False, True)],
    ids=["never loaded", "loaded too late", "loaded"],
)
def test_a_correction_of_a_property_that_is_not_loaded_leaves_its_id_free(
    known_since: datetime | None, refused: bool, taken: bool
) -> None:
    strict = {0: [RULES._replace(unknown_property="quarantine")]}
    given = ground(
        strict,
        loaded={KEY: "INR"} if known_since else None,
        known_since={KEY: known_since} if known_since else {},
        corrections_refused_at={(0, 0): NOON - timedelta(seconds=1)} if refused else {},
    )
    first, again = correction(0), correction(1, correction_id=bytes(16))
    books = fold({}, given, {0: [first, again]})
    if taken:
        assert (books.tallies[0].applied, books.tallies[0].duplicate) == (1, 1)
    elif known_since is None:
        assert (books.tallies[0].quarantined, books.corrections) == (2, {})
    else:
        assert (books.tallies[0].quarantined, books.tallies[0].applied) == (1, 1)
        assert [each.offset for each in books.corrections.values()] == [1]
    assert not books.registered
