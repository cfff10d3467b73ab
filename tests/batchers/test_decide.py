"""The outcome of every record, case by case."""

from datetime import date, timedelta

import msgspec
import pytest

from batchers.decide import Decisions, Fingerprint, Known, Outcome, accepted, decide, versions_to_probe
from batchers.properties import PropertyDefaults
from schemas.content_hash import HASH_VERSION, content_hash_v1
from schemas.events import FinanceEvent
from schemas.instants import instant_of
from schemas.reasons import Reason
from schemas.records import Judged
from schemas.topics import Feed
from tests.support.events import NOON, Offsets
from tests.support.memory_books import DEFAULTS, MemoryBooks

KEY = (1, "revenue", 1)


@pytest.fixture
def lane() -> Offsets:
    return Offsets()


@pytest.fixture
def books() -> MemoryBooks:
    return MemoryBooks()


def outcomes(decisions: Decisions) -> dict[str, int]:
    """Records by outcome, over all lanes, those that occurred."""
    total: dict[str, int] = {}
    for of_lane in decisions.outcomes.values():
        for outcome, count in of_lane.items():
            if count:
                total[outcome.value] = total.get(outcome.value, 0) + count
    return total


def reasons(decisions: Decisions) -> list[Reason]:
    return [rejected.reason for rejected in decisions.quarantined]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "batch after batch"])
@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([1], ["applied"]),
        ([1, 2, 3], ["applied", "applied", "applied"]),
        ([1, 1], ["applied", "duplicate"]),
        ([1, -1], ["applied", "conflict"]),
        ([3, 1], ["applied", "stale"]),
        ([3, 1, 1], ["applied", "stale", "duplicate"]),
        ([3, 1, -1], ["applied", "stale", "conflict"]),
        ([1, 3, 1], ["applied", "applied", "duplicate"]),
        ([1, 3, -1], ["applied", "applied", "conflict"]),
        ([1, 3, 2, 2, -2, 3, -3], ["applied", "applied", "stale", "duplicate", "conflict", "duplicate", "conflict"]),
        ([-2, 2, 1], ["applied", "conflict", "stale"]),
    ],
)
def test_outcomes(versions: list[int], expected: list[str], together: bool, lane: Offsets, books: MemoryBooks) -> None:
    """A negative number is the version with another body."""
    records = [lane.event(version=abs(version), amount=100 if version > 0 else 999) for version in versions]
    batches = [records] if together else [[record] for record in records]
    books.commit_in(batches)
    assert {outcome.value: count for outcome, count in books.outcomes.items() if count} == {
        outcome: expected.count(outcome) for outcome in expected
    }


@pytest.mark.parametrize("redelivered_amount", [100, 999])
def test_the_version_of_the_snapshot_is_judged_by_its_content_also_behind_a_newer_one(
    redelivered_amount: int, lane: Offsets, books: MemoryBooks
) -> None:
    """The store is not asked about the snapshot's own version, and within the batch it is no longer the newest."""
    books.commit([lane.event(amount=100)])
    decisions = books.commit([lane.event(version=2), lane.event(version=1, amount=redelivered_amount)])
    repeated = "duplicate" if redelivered_amount == 100 else "conflict"
    assert outcomes(decisions) == {"applied": 1, repeated: 1}
    assert [stored.record.event.version for stored in decisions.stored] == [2]


def test_only_versions_below_their_snapshot_need_the_store(lane: Offsets, books: MemoryBooks) -> None:
    books.commit([lane.event(1, version=5), lane.event(2, version=5)])
    records: list[Judged] = [lane.event(1, version=version) for version in (4, 5, 6)]
    records += [lane.event(3, version=1), lane.record(b"junk"), lane.event(2, version=3), lane.event(2, version=3)]
    assert versions_to_probe(accepted(records), books.snapshots) == {(KEY, 4), ((1, "revenue", 2), 3)}


def test_revenues_and_expenses_of_one_id_are_two_transactions(lane: Offsets, books: MemoryBooks) -> None:
    decisions = books.commit([lane.event(kind="revenue"), lane.event(kind="expense"), lane.event(org=2)])
    assert outcomes(decisions) == {"applied": 3}
    assert decisions.changes.keys() == {KEY, (1, "expense", 1), (2, "revenue", 1)}


def test_every_version_is_stored_and_only_the_newest_changes_the_books(lane: Offsets, books: MemoryBooks) -> None:
    books.commit([lane.event(version=1, amount=1)])
    decisions = books.commit([lane.event(version=version, amount=version) for version in (4, 2, 5, 3)])
    assert [(stored.record.event.version, stored.outcome) for stored in decisions.stored] == [
        (4, Outcome.APPLIED),
        (2, Outcome.STALE),
        (5, Outcome.APPLIED),
        (3, Outcome.STALE),
    ]
    (change,) = decisions.changes.values()
    assert change.before is not None
    assert (change.before.version, change.after.version, change.after.amount_cents) == (1, 5, 5)
    assert (change.record.event.version, change.sequence) == (5, 2)


def test_a_rejected_record_is_quarantined_where_it_stands_and_its_neighbours_go_on(
    lane: Offsets, books: MemoryBooks
) -> None:
    decisions = books.commit([lane.event(1), lane.record(b"junk"), lane.record(None), lane.event(2)])
    assert outcomes(decisions) == {"applied": 2, "quarantined": 2}
    assert [(dead.origin.offset, dead.reason) for dead in decisions.quarantined] == [
        (1, Reason.MALFORMED),
        (2, Reason.EMPTY),
    ]


def test_a_conflict_keeps_what_is_booked_and_says_which_body_lost(lane: Offsets, books: MemoryBooks) -> None:
    books.commit([lane.event(amount=100)])
    decisions = books.commit([lane.event(amount=101)])
    assert reasons(decisions) == [Reason.VERSION_CONFLICT]
    assert "version 1 of revenue 1" in decisions.quarantined[0].detail
    assert not decisions.stored
    assert not decisions.changes


def test_outcomes_are_counted_by_lane(books: MemoryBooks) -> None:
    one, two = Offsets(lane=0), Offsets(lane=3)
    decisions = books.commit([one.event(1), one.event(1), two.event(2), two.event(2, version=4)])
    assert decisions.outcomes[0][Outcome.DUPLICATE] == 1
    assert decisions.outcomes[3][Outcome.APPLIED] == 2
    assert decisions.version_gaps == {3: 1}
    assert all(set(of_lane) == set(Outcome) for of_lane in decisions.outcomes.values())


@pytest.mark.parametrize(("versions", "gaps"), [([1, 2, 3], 0), ([2], 1), ([1, 3], 1), ([1, 3, 2, 4, 9], 2)])
def test_a_gap_in_the_versions_applies_and_is_counted(
    versions: list[int], gaps: int, lane: Offsets, books: MemoryBooks
) -> None:
    books.commit([lane.event(version=version) for version in versions])
    assert books.version_gaps == gaps


# --- currency, properties, days ---


def test_another_currency_than_the_propertys_is_quarantined(lane: Offsets, books: MemoryBooks) -> None:
    decisions = books.commit([lane.event(1), lane.event(2, currency="USD"), lane.event(3, currency="INR")])
    assert outcomes(decisions) == {"applied": 2, "quarantined": 1}
    assert reasons(decisions) == [Reason.CURRENCY_MISMATCH]
    assert decisions.quarantined[0].detail == "currency USD; property 1 keeps INR"


def test_an_unknown_property_registers_with_its_first_event(lane: Offsets, books: MemoryBooks) -> None:
    decisions = books.commit([lane.event(1, currency="USD"), lane.event(2), lane.event(3, property_=2)])
    assert {key: property_.currency for key, property_ in decisions.registered.items()} == {
        (1, 1): "USD",
        (1, 2): "INR",
    }
    assert not books.commit([lane.event(4)]).registered


def test_without_defaults_a_property_must_be_loaded_before_its_first_event(lane: Offsets) -> None:
    loaded = {(1, 2): DEFAULTS.register(None)}
    records = [lane.event(1), lane.event(2, property_=2), lane.event(3, currency="USD")]
    decisions = decide(records, Known({}, {}, loaded, defaults=None))
    assert outcomes(decisions) == {"applied": 1, "quarantined": 2}
    assert reasons(decisions) == [Reason.PROPERTY_UNKNOWN] * 2
    assert decisions.quarantined[0].detail == "property 1 is not loaded"
    assert not decisions.registered


def test_a_transaction_cannot_move_to_a_property_that_is_not_loaded(lane: Offsets) -> None:
    loaded = {(1, 1): DEFAULTS.register(None)}
    moved = [lane.event(1), lane.event(1, 2, property_=2), lane.event(1, 3)]
    decisions = decide(moved, Known({}, {}, loaded, defaults=None))
    assert outcomes(decisions) == {"applied": 2, "quarantined": 1}
    assert decisions.changes[KEY].after.version == 3


def test_a_correction_of_a_property_that_is_not_loaded_leaves_its_id_free() -> None:
    desk = Offsets(feed=Feed.CORRECTIONS)
    first, again = desk.correction(id_=5, property_=1), desk.correction(id_=5, property_=2)
    known = Known({}, {}, {(1, 2): DEFAULTS.register(None)}, defaults=None)
    decisions = decide([first, again, again], known)
    assert outcomes(decisions) == {"quarantined": 1, "applied": 1, "duplicate": 1}
    assert reasons(decisions) == [Reason.PROPERTY_UNKNOWN]
    assert decisions.corrections == [again]


def test_the_balance_date_is_the_propertys_own(lane: Offsets) -> None:
    lisbon = PropertyDefaults("INR", "Europe/Lisbon").register(None)
    known = Known({}, {}, {(1, 1): lisbon}, DEFAULTS)
    late_evening = NOON + timedelta(hours=7)
    decisions = decide([lane.event(1, at=late_evening), lane.event(2, property_=2, at=late_evening)], known)
    assert [stored.balance_date for stored in decisions.stored] == [date(2026, 3, 10), date(2026, 3, 11)]


def test_a_booked_day_is_never_recomputed(lane: Offsets, books: MemoryBooks) -> None:
    """The zone changed after the booking: a removal takes away from the day that was booked."""
    evening = NOON + timedelta(hours=7)
    books.commit([lane.event(at=evening)])
    books.properties[1, 1] = PropertyDefaults("INR", "Europe/Lisbon").register(None)
    (change,) = books.commit([lane.event(version=2, at=evening)]).changes.values()
    assert change.before is not None
    assert (change.before.balance_date, change.after.balance_date) == (date(2026, 3, 11), date(2026, 3, 10))


# --- who made it, who approved it ---


def test_the_first_version_says_who_made_it_and_the_approving_one_who_approved_it(
    lane: Offsets, books: MemoryBooks
) -> None:
    steps = ["pending", "approved", "approved", "rejected", "deleted", "approved"]
    seen = []
    for version, status in enumerate(steps, 1):
        lane.appended_at += timedelta(minutes=1)
        books.commit([lane.event(version=version, status=status)])
        snapshot = books.snapshots[KEY]
        seen.append((snapshot.created_at, snapshot.approved_at))
    first = instant_of(NOON + timedelta(hours=1, minutes=1))
    minute = 60_000_000
    assert seen == [
        (first, None),
        (first, first + minute),
        (first, first + minute),
        (first, None),
        (first, None),
        (first, first + 5 * minute),
    ]
    assert books.snapshots[KEY].created_by_user_id == 7
    assert books.snapshots[KEY].approved_by_user_id == 7


# --- hashes of older releases ---


def test_a_stored_hash_of_an_older_list_is_compared_under_that_list(
    lane: Offsets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(event: FinanceEvent) -> bytes:
        return event.data.amount_cents.to_bytes(16, "big")

    monkeypatch.setattr("schemas.content_hash._BY_VERSION", {HASH_VERSION: content_hash_v1, 0: older})
    books = MemoryBooks()
    books.commit([lane.event(amount=100)])
    old = Fingerprint(0, (100).to_bytes(16, "big"))
    snapshot = msgspec.structs.replace(books.snapshots[KEY], fingerprint=old)
    known = Known({KEY: snapshot}, {}, books.properties, DEFAULTS)
    # The older list has no description: under it, another description is the same content.
    assert outcomes(decide([lane.event(amount=100, description="new")], known)) == {"duplicate": 1}
    assert outcomes(decide([lane.event(amount=101)], known)) == {"conflict": 1}


def test_records_of_a_paused_organisation_are_set_aside_whatever_they_are(lane: Offsets) -> None:
    desk = Offsets(feed=Feed.CORRECTIONS)
    records: list[Judged] = [
        lane.event(1, org=1),
        lane.event(1, org=2),
        lane.record(b"{"),
        desk.correction(org=1, declared=5),
        desk.correction(org=2, declared=5),
    ]
    decisions = decide(records, Known({}, {}, {}, DEFAULTS, paused_orgs={1}))
    assert outcomes(decisions) == {"applied": 2, "quarantined": 3}
    assert reasons(decisions) == [Reason.ORG_PAUSED, Reason.MALFORMED, Reason.ORG_PAUSED]
    assert "organisation 1" in decisions.quarantined[0].detail
    assert list(decisions.registered) == [(2, 1)]  # nothing of the paused one was touched
