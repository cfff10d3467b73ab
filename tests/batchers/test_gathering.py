"""Natural batching: a free writer takes what has gathered, within its bounds, in order, and from every lane."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchers.gathering import Bounds, Gathering
from pipeline.clock import SystemClock
from schemas.lanes import Batch, Standing
from schemas.records import Judged
from schemas.topics import Feed
from tests.support.claims import claim
from tests.support.clocks import HandClock
from tests.support.events import Offsets

WIDE = Bounds(rows_max=100, bytes_max=1 << 20, linger_seconds=0, gathered_rows_max=200, gathered_bytes_max=1 << 20)
SOON, NEVER = 0.05, 30.0


def rows(lane: Offsets, count: int) -> list[Judged]:
    return [lane.event(lane.next + 1) for _ in range(count)]


def gathering(bounds: Bounds = WIDE, lanes: int = 1) -> tuple[Gathering, list[Offsets]]:
    gathered = Gathering(bounds, SystemClock())
    for lane in range(lanes):
        gathered.open_lane(claim(Standing(0), lane=lane, epoch=7))
    return gathered, [Offsets(lane) for lane in range(lanes)]


async def taken(gathered: Gathering, idle_seconds: float = NEVER) -> Batch:
    async with asyncio.timeout(5):
        batch = await gathered.take(idle_seconds)
    assert batch is not None
    return batch


async def test_a_free_writer_takes_everything_that_has_gathered() -> None:
    gathered, (lane,) = gathering()
    records = rows(lane, 5)
    gathered.add(0, Feed.EVENTS, records[:2])
    gathered.add(0, Feed.EVENTS, records[2:])
    batch = await taken(gathered)
    (slice_,) = batch.slices
    assert (slice_.lane, slice_.epoch, slice_.start, slice_.end) == (0, 7, 0, 5)
    assert list(slice_.records) == records
    assert gathered.rows == 0


async def test_a_batch_has_at_most_rows_max_and_the_next_one_begins_where_it_ends() -> None:
    gathered, (lane,) = gathering(replace(WIDE, rows_max=3))
    gathered.add(0, Feed.EVENTS, rows(lane, 7))
    batches = [await taken(gathered) for _ in range(3)]
    assert [batch.rows for batch in batches] == [3, 3, 1]
    assert [(batch.slices[0].start, batch.slices[0].end) for batch in batches] == [(0, 3), (3, 6), (6, 7)]
    assert len({batch.batch_id for batch in batches}) == 3


async def test_a_batch_ends_with_the_record_that_fills_bytes_max() -> None:
    gathered, (lane,) = gathering()
    records = rows(lane, 4)
    size = len(records[0].origin.value or b"")
    gathered, _ = gathering(replace(WIDE, bytes_max=2 * size))
    gathered.add(0, Feed.EVENTS, records)
    assert [(await taken(gathered)).rows for _ in range(2)] == [2, 2]


async def test_a_record_larger_than_bytes_max_goes_alone_rather_than_never() -> None:
    gathered, (lane,) = gathering(replace(WIDE, bytes_max=10))
    gathered.add(0, Feed.EVENTS, rows(lane, 2))
    assert [(await taken(gathered)).rows for _ in range(2)] == [1, 1]


async def test_the_first_batch_of_a_new_lane_begins_at_its_first_record() -> None:
    gathered = Gathering(WIDE, SystemClock())
    gathered.open_lane(claim())
    gathered.add(0, Feed.EVENTS, rows(Offsets(next=40), 2))
    (slice_,) = (await taken(gathered)).slices
    assert (slice_.start, slice_.end) == (40, 42)


async def test_offsets_that_the_topic_skips_leave_no_hole_between_two_batches() -> None:
    gathered, (lane,) = gathering(replace(WIDE, rows_max=1))
    first, second = lane.event(1), Offsets(next=5).event(2)
    gathered.add(0, Feed.EVENTS, [first, second])
    batches = [await taken(gathered) for _ in range(2)]
    assert [(batch.slices[0].start, batch.slices[0].end) for batch in batches] == [(0, 1), (1, 6)]


async def test_lanes_share_a_batch_in_lane_order() -> None:
    gathered, lanes = gathering(lanes=3)
    for number in (2, 0, 1):
        gathered.add(number, Feed.EVENTS, rows(lanes[number], number + 1))
    batch = await taken(gathered)
    assert [(slice_.lane, len(slice_.records)) for slice_ in batch.slices] == [(0, 1), (1, 2), (2, 3)]


async def test_a_busy_lane_does_not_starve_its_neighbours() -> None:
    gathered, (busy, quiet) = gathering(replace(WIDE, rows_max=2), lanes=2)
    gathered.add(0, Feed.EVENTS, rows(busy, 10))
    gathered.add(1, Feed.EVENTS, rows(quiet, 2))
    batches = [await taken(gathered) for _ in range(2)]
    assert [slice_.lane for batch in batches for slice_ in batch.slices] == [0, 1]


# --- waiting ---


async def test_an_idle_writer_comes_back_empty_handed() -> None:
    gathered, _ = gathering()
    assert await gathered.take(SOON) is None
    assert not gathered.drained


async def test_a_waiting_writer_is_woken_by_the_first_record() -> None:
    gathered, (lane,) = gathering()
    waiting = asyncio.ensure_future(taken(gathered))
    await asyncio.sleep(0)
    gathered.add(0, Feed.EVENTS, rows(lane, 1))
    assert (await waiting).rows == 1


async def test_a_batch_lingers_for_company_until_the_oldest_is_old_enough() -> None:
    clock = HandClock()
    gathered = Gathering(replace(WIDE, linger_seconds=10), clock)
    gathered.open_lane(claim(Standing(0)))
    lane = Offsets()
    gathered.add(0, Feed.EVENTS, rows(lane, 1))
    waiting = asyncio.ensure_future(gathered.take(NEVER))
    await asyncio.sleep(SOON)
    assert not waiting.done()
    clock.pass_seconds(9)
    gathered.add(0, Feed.EVENTS, rows(lane, 1))
    await asyncio.sleep(SOON)
    assert not waiting.done()  # the second record does not make the first one younger, nor the batch due
    clock.pass_seconds(1)
    gathered.add(0, Feed.EVENTS, rows(lane, 1))
    batch = await asyncio.wait_for(waiting, 5)
    assert batch is not None
    assert batch.rows == 3


@pytest.mark.parametrize("bounds", [replace(WIDE, rows_max=2), replace(WIDE, bytes_max=600)], ids=["rows", "bytes"])
async def test_a_full_batch_does_not_linger(bounds: Bounds) -> None:
    gathered, (lane,) = gathering(replace(bounds, linger_seconds=NEVER))
    gathered.add(0, Feed.EVENTS, rows(lane, 2))  # of more than 300 bytes each
    assert (await taken(gathered)).rows == 2


async def test_what_a_full_batch_leaves_lingers_from_then_on() -> None:
    gathered, (lane,) = gathering(replace(WIDE, rows_max=2, linger_seconds=NEVER))
    gathered.add(0, Feed.EVENTS, rows(lane, 3))
    await taken(gathered)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await gathered.take(NEVER)
    assert gathered.rows == 1


async def test_after_closing_what_is_left_goes_at_once_and_then_it_is_drained() -> None:
    gathered, (lane,) = gathering(replace(WIDE, linger_seconds=NEVER))
    gathered.add(0, Feed.EVENTS, rows(lane, 2))
    waiting = asyncio.ensure_future(taken(gathered))
    await asyncio.sleep(0)
    gathered.close()
    assert (await waiting).rows == 2
    assert gathered.drained
    assert await gathered.take(NEVER) is None


# --- bounds on what waits ---


async def test_fetching_pauses_at_the_bound_and_goes_on_at_half_of_it() -> None:
    gathered, (lane,) = gathering(replace(WIDE, rows_max=1, gathered_rows_max=4))
    gathered.add(0, Feed.EVENTS, rows(lane, 3))
    states = [(gathered.full, gathered.roomy)]
    gathered.add(0, Feed.EVENTS, rows(lane, 1))
    states.append((gathered.full, gathered.roomy))
    for _ in range(2):
        await taken(gathered)
        states.append((gathered.full, gathered.roomy))
    assert states == [(False, False), (True, False), (False, False), (False, True)]


async def test_bytes_are_bounded_too_and_counted_down_again() -> None:
    gathered, (lane,) = gathering()
    records = rows(lane, 2)
    size = sum(len(record.origin.value or b"") for record in records)
    gathered, _ = gathering(replace(WIDE, gathered_bytes_max=size))
    gathered.add(0, Feed.EVENTS, records)
    assert gathered.full
    await taken(gathered)
    assert gathered.roomy
    assert not gathered.full


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=1, max_size=12),
    st.integers(1, 7),
    st.integers(200, 2_000),
)
def test_nothing_is_lost_doubled_or_reordered(adds: list[tuple[int, int]], rows_max: int, bytes_max: int) -> None:
    async def run() -> tuple[dict[int, list[Judged]], dict[int, list[Judged]]]:
        gathered, lanes = gathering(replace(WIDE, rows_max=rows_max, bytes_max=bytes_max), lanes=3)
        given_: dict[int, list[Judged]] = {0: [], 1: [], 2: []}
        got: dict[int, list[Judged]] = {0: [], 1: [], 2: []}
        ends = dict.fromkeys(got, 0)
        for lane, count in adds:
            records = rows(lanes[lane], count)
            given_[lane] += records
            gathered.add(lane, Feed.EVENTS, records)
        gathered.close()
        while not gathered.drained:
            batch = await taken(gathered)
            assert 0 < batch.rows <= rows_max
            for slice_ in batch.slices:
                assert slice_.start == ends[slice_.lane]
                ends[slice_.lane] = slice_.end
                got[slice_.lane] += slice_.records
        assert gathered.rows == 0
        return given_, got

    given_, got = asyncio.run(run())
    assert got == given_
