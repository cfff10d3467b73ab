"""A lane while it is fetched: each record once, in order, and only from the topic that we know."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec
import pytest

from consumers.lane import FetchedLane
from pipeline.errors import TopicAltered
from schemas.lanes import Claim, Standing, last_record, record_digest
from schemas.records import Judged
from schemas.topics import Feed
from tests.support.claims import claim
from tests.support.events import Offsets

NEW = claim()


def rows(count: int, first: int = 0) -> list[Judged]:
    lane = Offsets(next=first)
    return [lane.event(number + 1) for number in range(count)]


def stood_behind(record: Judged) -> Claim:
    """A claim of a lane whose last consumed record was this one."""
    return claim(Standing(record.origin.offset + 1, last_record(record.origin)))


def offsets(records: Iterable[Judged]) -> list[int]:
    return [record.origin.offset for record in records]


def test_a_new_lane_lets_everything_through_from_its_start() -> None:
    lane = FetchedLane(Feed.EVENTS, "t", NEW, 40)
    assert lane.position == 40
    assert offsets(lane.admit(rows(3, first=40))) == [40, 41, 42]
    assert lane.position == 43


def test_the_last_consumed_record_is_recognised_and_not_let_through_again() -> None:
    records = rows(4)
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(records[1]), 1)
    assert offsets(lane.admit(records[1:])) == [2, 3]
    assert lane.position == 4


def test_records_from_before_the_position_are_in_the_books_already() -> None:
    records = rows(5)
    lane = FetchedLane(Feed.EVENTS, "t", claim(Standing(3)), 3)
    assert offsets(lane.admit(records)) == [3, 4]
    assert offsets(lane.admit(records)) == []
    assert lane.position == 5


def test_an_answer_without_records_changes_nothing() -> None:
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(rows(1)[0]), 0)
    assert lane.admit([]) == []
    assert lane.position == 1


@pytest.mark.parametrize("altered", ["value", "key", "appended_at"])
def test_another_record_where_the_last_one_was_means_another_topic(altered: str) -> None:
    record = rows(1)[0]
    other = {"value": b"{}", "key": b"2", "appended_at": record.origin.appended_at + timedelta(milliseconds=1)}
    found = msgspec.structs.replace(record, origin=msgspec.structs.replace(record.origin, **{altered: other[altered]}))
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(record), 0)
    with pytest.raises(TopicAltered, match=r"lane 0: record 0 is not the one that was consumed.*recreated"):
        lane.admit([found])


def test_a_last_record_that_the_topic_no_longer_has_is_not_looked_for() -> None:
    records = rows(3)
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(records[0]), 1)
    assert offsets(lane.admit(records[1:])) == [1, 2]


def test_a_topic_that_skips_the_last_consumed_record_is_another_one() -> None:
    records = rows(3)
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(records[0]), 0)
    with pytest.raises(TopicAltered, match="record 0 is not the one that was consumed"):
        lane.admit(records[1:])


def test_an_answer_from_before_the_seek_does_not_spare_the_comparison() -> None:
    records = rows(3)
    other = msgspec.structs.replace(records[1], origin=msgspec.structs.replace(records[1].origin, value=b"{}"))
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(records[1]), 1)
    assert lane.admit(records[:1]) == []
    with pytest.raises(TopicAltered):
        lane.admit([other, records[2]])


def test_it_is_recognised_once_and_later_fetches_are_not_compared_with_it() -> None:
    records = rows(3)
    lane = FetchedLane(Feed.EVENTS, "t", stood_behind(records[0]), 0)
    lane.admit(records[:2])
    assert offsets(lane.admit(records[2:])) == [2]


def test_poison_is_recognised_as_well_as_events() -> None:
    poison = Offsets().record(b"junk")
    assert offsets(FetchedLane(Feed.EVENTS, "t", stood_behind(poison), 0).admit([poison])) == []


def test_the_digest_tells_key_and_value_and_absence_apart() -> None:
    lane = Offsets()
    pairs = [(b"1", b"23"), (b"12", b"3"), (None, b"123"), (b"123", None), (b"1", b"24")]
    assert len({record_digest(lane.record(value, key).origin) for key, value in pairs}) == len(pairs)
