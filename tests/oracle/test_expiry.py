"""What an expired topic must still hold: required only where no clock and no late sender can make it a false alarm."""

from datetime import datetime, timedelta

import pytest

from pipeline.oracle.daily import Figures
from pipeline.oracle.expiry import MARGIN, PROMPT, Expiry, Routing
from pipeline.oracle.records import Record
from pipeline.oracle.routing import home_lane
from pipeline.oracle.updates import Update
from tests.oracle.builders import NOON

LANES = 4
# Organisations at home on lane 0, and one that is not.
ORG, NEIGHBOUR, *_ = (org for org in range(1, 100) if home_lane(org, LANES) == 0)
STRANGER = next(org for org in range(1, 100) if home_lane(org, LANES) == 1)
MOMENT = timedelta(microseconds=1)
NONE = Figures(0, 0, 0, 0, 0, 0, None, 0, 0)


def expired(*, partitions: int = LANES, misrouted: frozenset[int] = frozenset()) -> Expiry:
    """Partition 0 begins at noon with offset 9; nothing has left the others."""
    expiry = Expiry(
        {partition: 9 if partition == 0 else 0 for partition in range(partitions)}, Routing(LANES, misrouted)
    )
    expiry.begin([record(0, NOON), record(0, NOON + timedelta(days=1))])
    expiry.begin([record(0, NOON + timedelta(days=2))])
    return expiry


def record(partition: int, appended_at: datetime) -> Record:
    return Record(partition, 9, appended_at, b"")


def update(appended_at: datetime | None, changed_at: datetime, org: int = NEIGHBOUR) -> Update:
    return Update("a", (org, 1, NOON.date()), 1, NONE, changed_at, appended_at)


LATER = NOON + MARGIN


def test_of_a_topic_that_is_whole_everything_is_required() -> None:
    expiry = Expiry(dict.fromkeys(range(LANES), 0), Routing(LANES, {ORG}))
    assert not expiry.may_have_expired(ORG)
    assert expiry.must_hold(ORG, NOON)


def test_where_nothing_is_known_nothing_is_required() -> None:
    assert expired().may_have_expired(ORG)
    assert not expired().must_hold(ORG, NOON + timedelta(days=99))


def test_a_partition_expires_for_its_own_organisations_alone() -> None:
    assert not expired().may_have_expired(STRANGER)
    assert expired().must_hold(STRANGER, NOON)


def test_what_the_lane_recorded_after_a_prompt_update_is_required() -> None:
    expiry = expired()
    expiry.hear(update(LATER, LATER))
    assert expiry.must_hold(ORG, LATER + MOMENT)
    assert not expiry.must_hold(ORG, LATER)
    expiry.hear(update(LATER + timedelta(hours=1), LATER + timedelta(hours=1)))
    assert expiry.must_hold(ORG, LATER + MOMENT), "the earliest one tells most"


@pytest.mark.parametrize(
    "proves_nothing",
    [
        update(LATER - MOMENT, LATER - MOMENT),
        update(LATER + timedelta(days=1), LATER + timedelta(days=1) - PROMPT - MOMENT),
        update(LATER, LATER + PROMPT + MOMENT),
        update(None, LATER),
        update(LATER, LATER, STRANGER),
    ],
    ids=["too near to the start", "told late", "by a clock that is ahead", "of the outbox", "of another lane"],
)
def test_other_updates_prove_nothing(proves_nothing: Update) -> None:
    expiry = expired()
    expiry.hear(proves_nothing)
    assert not expiry.must_hold(ORG, NOON + timedelta(days=99))


def test_of_misrouted_organisations_nothing_is_required_and_they_prove_nothing() -> None:
    expiry = expired(misrouted=frozenset({NEIGHBOUR}))
    expiry.hear(update(LATER, LATER, NEIGHBOUR))
    assert not expiry.must_hold(ORG, LATER + MOMENT)
    expiry.hear(update(LATER, LATER, ORG))
    assert expiry.must_hold(ORG, LATER + MOMENT)
    assert not expiry.must_hold(NEIGHBOUR, LATER + MOMENT)


def test_without_a_partition_for_each_lane_nothing_is_required_of_anybody() -> None:
    expiry = expired(partitions=LANES + 1)
    expiry.hear(update(LATER, LATER))
    for org in (ORG, STRANGER):
        assert expiry.may_have_expired(org)
        assert not expiry.must_hold(org, LATER + MOMENT)


def test_an_organisation_whose_home_has_moved_may_have_lost_updates_of_either_partition() -> None:
    """Half as many lanes before: whoever is at home on lane 2 now was on lane 0 then."""
    moved = next(org for org in range(1, 100) if home_lane(org, LANES) == 2)
    starts = {partition: 9 if partition == 0 else 0 for partition in range(LANES)}
    expiry = Expiry(starts, Routing(LANES, (), (LANES // 2,)))
    expiry.begin([record(0, NOON)])
    assert expiry.may_have_expired(moved)
    expiry.hear(update(LATER, LATER, moved))
    assert not expiry.must_hold(ORG, LATER + MOMENT), "its updates tell nothing of a partition"
    expiry.hear(update(LATER, LATER, NEIGHBOUR))
    assert expiry.must_hold(ORG, LATER + MOMENT), "who stayed keeps the order of its lane"
    assert not expiry.must_hold(moved, LATER + MOMENT)
