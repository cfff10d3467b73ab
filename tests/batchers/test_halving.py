"""Halves say together what the whole said, and lead to the one record that is at fault."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from batchers.halving import halves, quarantined
from schemas.lanes import Batch, LaneSlice
from schemas.reasons import Reason
from schemas.records import Accepted, Rejected
from tests.support.events import Offsets


def batch_of(*rows_of_lanes: int, first: int = 10, step: int = 1) -> Batch:
    """A batch with so many records of each lane; offsets rise by `step`, as where the topic skips some."""
    slices = []
    for number, count in enumerate(rows_of_lanes):
        records = [Offsets(number, first + place * step).event(place + 1) for place in range(count)]
        slices.append(LaneSlice(number, 3, first, first + count * step, records))
    return Batch(uuid7(), tuple(slices))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4).filter(lambda rows: sum(rows) > 1), st.integers(1, 3))
def test_two_halves_are_the_whole_in_order_and_without_a_hole(rows_of_lanes: list[int], step: int) -> None:
    whole = batch_of(*rows_of_lanes, step=step)
    first, second = halves(whole)
    assert first.rows
    assert second.rows
    assert len({whole.batch_id, first.batch_id, second.batch_id}) == 3
    for number in range(len(rows_of_lanes)):
        parts = [slice_ for half in (first, second) for slice_ in half.slices if slice_.lane == number]
        (of_whole,) = (slice_ for slice_ in whole.slices if slice_.lane == number)
        assert [record for part in parts for record in part.records] == list(of_whole.records)
        assert parts[0].start == of_whole.start
        assert parts[-1].end == of_whole.end
        assert all(before.end == after.start for before, after in itertools.pairwise(parts))
        assert {part.epoch for part in parts} == {3}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_halving_ends_at_single_records(rows_of_lanes: list[int]) -> None:
    waiting, singles = [batch_of(*rows_of_lanes)], 0
    while waiting:
        batch = waiting.pop()
        if batch.rows == 1:
            singles += 1
        else:
            waiting.extend(halves(batch))
    assert singles == sum(rows_of_lanes)


def test_a_single_record_cannot_be_halved() -> None:
    with pytest.raises(AssertionError):
        halves(batch_of(1))


def test_the_culprit_becomes_a_dead_letter_in_its_own_place() -> None:
    batch = batch_of(1)
    dead = quarantined(batch, "value out of range")
    (slice_,) = dead.slices
    (before,) = batch.slices
    assert (slice_.lane, slice_.epoch, slice_.start, slice_.end) == (0, 3, before.start, before.end)
    (record,) = slice_.records
    assert record == Rejected(before.records[0].origin, Reason.DATABASE_REJECTED, "value out of range")
    assert dead.batch_id != batch.batch_id


def test_a_dead_letter_is_never_quarantined_again() -> None:
    dead = quarantined(batch_of(1), "x")
    assert not isinstance(dead.slices[0].records[0], Accepted)
    with pytest.raises(AssertionError):
        quarantined(dead, "y")
