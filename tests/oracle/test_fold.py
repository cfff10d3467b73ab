"""The fold: records in, books out."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.oracle.books import Registration, Tally, Zone, rules_at
from pipeline.oracle.decode import Event, Judged
from pipeline.oracle.fold import fold
from pipeline.oracle.order import Order, orgs_on_several_lanes
from pipeline.oracle.pauses import Pauses, Stretch
from pipeline.oracle.routing import home_lane
from tests.oracle.builders import LANES, NOON, ORG, PROPERTY, RULES, books_of, event, ground, lanes_of, rejected

KEY = (ORG, "revenue", 1)
OTHER_ORG, OTHER_HOME = 8, 3


def outcomes(*versions_and_amounts: tuple[int, int]) -> list[str]:
    """What becomes of versions of one transaction, delivered in this order."""
    names = ("applied", "duplicate", "stale", "conflict")
    seen: list[str] = []
    delivered: list[Event] = []
    before = Tally()
    for offset, (version, amount) in enumerate(versions_and_amounts):
        delivered.append(event(offset, version=version, amount_cents=amount))
        after = books_of(*delivered).tallies[0]
        seen += [name for name in names if getattr(after, name) != getattr(before, name)]
        before = after
    return seen


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ([(1, 10), (2, 20)], ["applied", "applied"]),
        ([(1, 10), (1, 10)], ["applied", "duplicate"]),
        ([(1, 10), (1, 11)], ["applied", "conflict"]),
        ([(1, 10), (2, 20), (1, 10)], ["applied", "applied", "duplicate"]),
        ([(1, 10), (2, 20), (1, 11)], ["applied", "applied", "conflict"]),
        ([(5, 50), (3, 30)], ["applied", "stale"]),
        ([(5, 50), (3, 30), (3, 30)], ["applied", "stale", "duplicate"]),
        ([(5, 50), (3, 30), (3, 31)], ["applied", "stale", "conflict"]),
        ([(5, 50), (3, 30), (4, 40), (6, 60)], ["applied", "stale", "stale", "applied"]),
        ([(1, 10), (1, 11), (1, 11)], ["applied", "conflict", "conflict"]),
    ],
)
def test_outcomes_by_version(delivered: list[tuple[int, int]], expected: list[str]) -> None:
    assert outcomes(*delivered) == expected


def test_only_what_is_stored_is_remembered_and_only_the_newest_counts() -> None:
    books = books_of(event(0, version=5, amount_cents=50), event(1, version=3), event(2, version=5, amount_cents=1))
    assert {key[3]: stored.outcome for key, stored in books.stored.items()} == {5: "applied", 3: "stale"}
    assert books.newest[KEY].event.content.amount_cents == 50


def test_gaps_of_versions_are_counted_and_no_state_counts_as_version_zero() -> None:
    books = books_of(event(0, version=2), event(1, version=3), event(2, version=7), event(3, version=5))
    assert books.tallies[0].version_gaps == 2  # 0 → 2, 3 → 7


SOMETHING_ELSE = {
    "type": "revenue.updated",
    "property_id": PROPERTY + 1,
    "occurred_at": NOON + timedelta(microseconds=1),
    "user_id": 2,
    "amount_cents": 101,
    "payment_mode": "bank",
    "status": "pending",
    "currency": "INR",
    "category": None,
    "description": "",
    "bank_reference": "x",
    "source": "x",
}


def test_every_field_of_the_content_makes_a_conflict_and_the_record_does_not() -> None:
    first = event(0)
    for name, value in first.content._asdict().items():
        changed = event(1, **{name: SOMETHING_ELSE[name]})
        assert changed.content._asdict()[name] != value
        assert books_of(first, changed).tallies[0].conflict == 1, name
    assert books_of(first, event(1, appended_at=NOON + timedelta(days=1))).tallies[0].duplicate == 1


def test_a_conflict_is_among_the_dead_letters() -> None:
    books = books_of(event(0), event(1, amount_cents=5))
    assert {key: letter.reason for key, letter in books.dead_letters.items()} == {(0, 1): "version_conflict"}


def test_what_breaks_a_rule_is_quarantined_with_its_reason_and_its_neighbours_go_on() -> None:
    books = books_of(event(0), rejected(1, "malformed"), event(2, version=2))
    assert books.tallies[0] == Tally(applied=2, quarantined=1)
    assert books.dead_letters[0, 1].reason == "malformed"
    assert books.tallies[0].records == 3


def test_what_the_database_rejected_is_taken_as_given_and_has_no_effect() -> None:
    given = ground(database_rejected=frozenset({(0, 0)}))
    books = books_of(event(0, currency="USD"), event(1, version=2, currency="INR"), given=given)
    assert books.dead_letters[0, 0].reason == "database_rejected"
    assert books.registered[ORG, PROPERTY].currency == "INR"
    assert [key[3] for key in books.stored] == [2]


# --- properties ---


def test_an_unknown_property_takes_the_currency_of_its_first_event() -> None:
    books = books_of(event(0, currency="USD"), event(1, version=2), event(2, version=3, currency="INR"))
    assert books.registered == {(ORG, PROPERTY): Registration("USD", "Asia/Kolkata")}
    assert books.tallies[0] == Tally(applied=2, quarantined=1)
    assert books.dead_letters[0, 2].reason == "currency_mismatch"


def test_an_event_without_currency_registers_the_default_of_the_rules_in_force() -> None:
    later = RULES._replace(position=10, default_currency="EUR", default_time_zone="Europe/Paris")
    given = ground(rules={0: [RULES, later]})
    books = books_of(event(9), event(10, aggregate_id=2, property_id=71), given=given)
    assert books.registered[ORG, PROPERTY] == Registration("INR", "Asia/Kolkata")
    assert books.registered[ORG, 71] == Registration("EUR", "Europe/Paris")


def test_a_loaded_property_is_in_its_loaded_currency() -> None:
    given = ground(loaded={(ORG, PROPERTY): "USD"})
    books = books_of(event(0, currency="INR"), event(1, currency="USD"), given=given)
    assert books.tallies[0] == Tally(applied=1, quarantined=1)
    assert not books.registered


def test_a_rejected_record_does_not_register_its_property() -> None:
    assert not books_of(rejected(0)).registered


def test_rules_in_force() -> None:
    rules = [RULES, RULES._replace(position=10), RULES._replace(position=20)]
    assert [rules_at(rules, offset).position for offset in (0, 9, 10, 19, 20, 99)] == [0, 0, 10, 10, 20, 20]


# --- days ---


@pytest.mark.parametrize(
    ("occurred_at", "day"),
    [
        (datetime(2026, 5, 1, 18, 29, 59, 999999, UTC), date(2026, 5, 1)),
        (datetime(2026, 5, 1, 18, 30, tzinfo=UTC), date(2026, 5, 2)),
    ],
)
def test_the_balance_date_is_the_day_at_the_property(occurred_at: datetime, day: date) -> None:
    assert books_of(event(occurred_at=occurred_at)).newest[KEY].balance_date == day


def test_a_change_of_zone_counts_from_its_instant_on() -> None:
    move = datetime(2026, 5, 1, 20, tzinfo=UTC)
    zones = (
        Zone(datetime(1, 1, 2, tzinfo=UTC), ZoneInfo("Asia/Kolkata")),
        Zone(move, ZoneInfo("America/New_York")),
    )
    given = ground(zones={(ORG, PROPERTY): zones})
    days = [
        books_of(event(occurred_at=at), given=given).newest[KEY].balance_date
        for at in (move - timedelta(microseconds=1), move)
    ]
    assert days == [date(2026, 5, 2), date(2026, 5, 1)]


# --- lanes ---


def test_lanes_are_counted_apart() -> None:
    books = books_of(event(0), event(0, lane=OTHER_HOME, org_id=OTHER_ORG), rejected(1, lane=OTHER_HOME))
    assert books.tallies == {0: Tally(applied=1), OTHER_HOME: Tally(applied=1, quarantined=1)}


def test_whoever_comes_by_another_lane_than_its_home_is_counted_whatever_becomes_of_it() -> None:
    records = (
        event(0, lane=5),  # applied
        event(1, lane=5),  # a duplicate
        event(2, lane=5, amount_cents=1),  # a conflict
        event(3, lane=5, currency="USD"),  # in another currency
        event(4, lane=5, org_id=OTHER_ORG),
        event(5, lane=OTHER_HOME, org_id=OTHER_ORG, version=2),
    )
    books = books_of(*records)
    assert {lane: tally.misrouted for lane, tally in books.tallies.items()} == {5: 5, OTHER_HOME: 0}
    assert books.misrouted_orgs == {ORG, OTHER_ORG}


def test_a_record_without_an_event_has_no_home() -> None:
    given = ground(database_rejected=frozenset({(5, 1)}))
    books = books_of(rejected(0, lane=5), event(1, lane=5), given=given)
    assert books.tallies[5] == Tally(quarantined=2)
    assert not books.misrouted_orgs


def test_homes_depend_on_the_number_of_lanes() -> None:
    one_lane = {lane: [RULES._replace(lane_count=1)] for lane in (0, 5)}
    assert books_of(event(0, lane=0), given=ground(one_lane)).tallies[0].misrouted == 0
    assert books_of(event(0, lane=5), given=ground(one_lane)).tallies[5].misrouted == 1


def test_each_record_is_at_home_by_the_number_of_lanes_that_was_in_force() -> None:
    """Lane 1 of two is the home of what is at home on lane 3 of four."""
    moving = next(org for org in range(1, 100) if (home_lane(org, 2), home_lane(org, 4)) == (1, 3))
    grown = [RULES._replace(lane_count=2), RULES._replace(position=5, lane_count=4)]
    given = ground({1: grown, 3: grown[1:]})
    books = books_of(
        event(4, lane=1, org_id=moving),
        event(5, lane=1, org_id=moving, version=2),
        event(5, lane=3, org_id=moving, version=3),
        given=given,
    )
    assert {lane: tally.misrouted for lane, tally in books.tallies.items()} == {1: 1, 3: 0}


def test_what_was_judged_under_fewer_lanes_comes_first_whatever_was_recorded() -> None:
    """So the order of an organisation whose home has moved need not be asked for."""
    grown = [RULES._replace(lane_count=2), RULES._replace(position=5, lane_count=4)]
    given = ground({0: [RULES._replace(lane_count=4)], 1: grown})
    # Lane 0 is folded first within an era; by eras its record is the last.
    books = books_of(event(0, lane=0, amount_cents=7), event(4, lane=1, amount_cents=5), given=given)
    assert books.newest[KEY].event.lane == 1
    assert books.dead_letters.keys() == {(0, 0)}


# --- properties that must be loaded ---


STRICT = {lane: [RULES._replace(unknown_property="quarantine")] for lane in range(LANES)}
LOADED = {(ORG, PROPERTY): "INR"}
EARLIER, LATER = NOON - timedelta(seconds=1), NOON + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("loaded", "known_since", "refused_at", "reason"),
    [
        (None, None, None, "property_unknown"),  # whatever the database says: nobody ever loaded it
        (None, None, NOON, "property_unknown"),
        (LOADED, None, None, None),
        (LOADED, None, NOON, None),  # loaded before that was noted, and so before there were such rules
        (LOADED, NOON, EARLIER, "property_unknown"),
        (LOADED, NOON, LATER, None),
        (LOADED, NOON, None, None),  # booked: held against the order of recording by itself
        (None, NOON, EARLIER, "property_unknown"),  # it registered itself later, under other rules
    ],
)
def test_under_strict_rules_a_property_is_unknown_until_it_is_loaded(
    loaded: dict[tuple[int, int], str] | None,
    known_since: datetime | None,
    refused_at: datetime | None,
    reason: str | None,
) -> None:
    given = ground(
        STRICT,
        loaded,
        known_since={} if known_since is None else {(ORG, PROPERTY): known_since},
        refused_at={} if refused_at is None else {(0, 0): refused_at},
    )
    books = books_of(event(0), given=given)
    letter = books.dead_letters.get((0, 0))
    assert (letter.reason if letter else None) == reason
    assert (KEY in books.newest) == (reason is None)
    assert not books.registered


def test_a_property_that_registered_itself_before_the_rules_became_strict_stays_known() -> None:
    rules = {0: [RULES, STRICT[0][0]._replace(position=1)]}
    books = books_of(event(0), event(1, version=2), event(2, aggregate_id=2, property_id=71), given=ground(rules))
    assert books.tallies[0] == Tally(applied=2, quarantined=1)
    assert books.registered.keys() == {(ORG, PROPERTY)}


def test_quarantined_then_loaded_then_sent_again() -> None:
    given = ground(STRICT, LOADED, known_since={(ORG, PROPERTY): NOON}, refused_at={(0, 0): EARLIER})
    books = books_of(event(0), event(1), event(2, version=2), given=given)
    assert books.tallies[0] == Tally(applied=2, quarantined=1)
    assert books.dead_letters[0, 0].reason == "property_unknown"


def outcomes_on_several_lanes(recorded: dict[tuple[int, int], int], *records: Judged) -> dict[tuple[int, int], str]:
    """What becomes of an org's records on several lanes, given the seconds at which some were recorded."""
    lanes = lanes_of(*records)
    orgs = orgs_on_several_lanes(lanes, {})
    assert orgs == {ORG}
    recorded_at = {key: NOON + timedelta(seconds=seconds) for key, seconds in recorded.items()}
    books = fold(lanes, ground(), order=Order(orgs, recorded_at))
    outcomes = {(stored.event.lane, stored.event.offset): stored.outcome for stored in books.stored.values()}
    return outcomes | {key: letter.reason for key, letter in books.dead_letters.items()}


def test_orgs_on_several_lanes() -> None:
    assert not orgs_on_several_lanes(lanes_of(event(0), event(0, lane=1, org_id=8), rejected(1, lane=1)), {})
    assert orgs_on_several_lanes(lanes_of(event(0), event(0, lane=1), event(1, lane=1, org_id=8)), {}) == {ORG}


def test_an_org_on_several_lanes_is_folded_in_the_order_of_the_store() -> None:
    records = (event(0, lane=0, version=2), event(0, lane=1, version=1), event(1, lane=1, version=3))
    in_order = outcomes_on_several_lanes({(0, 0): 2, (1, 0): 1, (1, 1): 3}, *records)
    assert in_order == dict.fromkeys([(0, 0), (1, 0), (1, 1)], "applied")
    late = outcomes_on_several_lanes({(0, 0): 1, (1, 0): 2, (1, 1): 3}, *records)
    assert late == {(0, 0): "applied", (1, 0): "stale", (1, 1): "applied"}


def test_what_was_not_stored_comes_as_late_as_its_lane_allows() -> None:
    repeated = (event(0, lane=0), event(1, lane=0, version=3), event(0, lane=1), event(1, lane=1, version=2))
    # Lane 1 repeats version 1 before it brings version 2, which was recorded between the two of lane 0.
    outcomes = outcomes_on_several_lanes({(0, 0): 1, (1, 1): 2, (0, 1): 3}, *repeated)
    assert outcomes == dict.fromkeys([(0, 0), (1, 1), (0, 1)], "applied")


def test_within_a_lane_offsets_decide_whatever_the_stamps_say() -> None:
    records = (event(0, lane=0, version=1), event(1, lane=0, version=2), event(0, lane=1, version=3))
    outcomes = outcomes_on_several_lanes({(0, 0): 9, (0, 1): 1, (1, 0): 10}, *records)
    assert outcomes == dict.fromkeys([(0, 0), (0, 1), (1, 0)], "applied")


def test_other_orgs_and_rejected_records_of_those_lanes_are_folded_too() -> None:
    outcomes = outcomes_on_several_lanes(
        {}, event(0), event(0, lane=1), event(1, lane=1, org_id=8), rejected(2, lane=1)
    )
    assert outcomes == {(0, 0): "applied", (1, 1): "applied", (1, 2): "schema"}


def test_records_of_a_paused_organisation_are_set_aside_between_the_offsets_of_the_pause() -> None:
    pauses = Pauses([(ORG, 0, Stretch(1, 3)), (ORG, 0, Stretch(5, None)), (ORG, 1, Stretch(0, None))])
    records = [event(offset, aggregate_id=offset + 1) for offset in range(7)]
    books = books_of(*records, given=ground(pauses=pauses))
    assert sorted(books.dead_letters) == [(0, 1), (0, 2), (0, 5), (0, 6)]
    assert {letter.reason for letter in books.dead_letters.values()} == {"org_paused"}
    assert books.tallies[0].applied == 3
    other = books_of(event(1, org_id=OTHER_ORG), given=ground(pauses=pauses))
    assert not other.dead_letters
