"""The parts that decide by values: epochs, the ring, where a feed begins."""

import pytest

from pipeline.realtime.feed import where_to_begin
from pipeline.realtime.messages import Filters, ResyncReason
from pipeline.realtime.ring import ENTRY_BYTES, Ring, RingBounds
from schemas.epochs import UNKNOWN, Step, step
from tests.realtime.making import EPOCH, NEXT_EPOCH, OTHER_SYSTEM, entry, key, update
from tests.support.events import TODAY


@pytest.mark.parametrize(
    ("current", "heard", "expected"),
    [
        (UNKNOWN, EPOCH, Step.FIRST),
        (EPOCH, EPOCH, Step.SAME),
        (EPOCH, NEXT_EPOCH, Step.CHANGED),
        (NEXT_EPOCH, EPOCH, Step.OLDER),
        ("7-9", "7-10", Step.CHANGED),
        ("7-10", "7-9", Step.OLDER),
        (NEXT_EPOCH, OTHER_SYSTEM, Step.CHANGED),
        (OTHER_SYSTEM, NEXT_EPOCH, Step.CHANGED),
        ("odd", "odder", Step.CHANGED),
    ],
)
def test_an_epoch_seen_from_another(current: str, heard: str, expected: Step) -> None:
    assert step(current, heard) is expected


def offsets(ring: Ring, since: int) -> list[int]:
    return [each.offset for each in ring.since(since)]


def test_a_ring_goes_on_from_what_it_remembers_alone() -> None:
    ring = Ring(10, RingBounds(entries_max=3, bytes_max=1 << 20))
    assert ring.judge(10) is None
    assert ring.judge(9) is ResyncReason.CURSOR_TOO_OLD
    for offset in (10, 12, 13, 14):  # 11 was a mark of a transaction
        ring.append(entry(offset, update(offset)))
    assert ring.judge(10) is ResyncReason.CURSOR_TOO_OLD
    assert offsets(ring, 11) == [12, 13, 14]
    assert offsets(ring, 14) == [14]
    assert offsets(ring, 15) == []
    assert ring.judge(16) is ResyncReason.CURSOR_AHEAD
    ring.pass_over(17)
    assert (ring.position, ring.judge(16)) == (17, None)


def test_a_ring_is_bounded_in_bytes() -> None:
    one = entry(0, update(1))
    size = len(one.line) + ENTRY_BYTES
    ring = Ring(0, RingBounds(entries_max=100, bytes_max=2 * size))
    for offset in range(5):
        ring.append(entry(offset, update(1)))
        assert ring.size_bytes <= 2 * size
    assert offsets(ring, 3) == [3, 4]


@pytest.mark.parametrize(
    ("held", "begins", "ends", "expected"),
    [
        ({}, {0: 0}, {0: 5}, ({0: 5}, None)),
        ({0: 3}, {0: 0}, {0: 5}, None),
        ({0: 3}, {0: 4}, {0: 5}, ({0: 5}, ResyncReason.TOPIC_LOST)),
        ({0: 3}, {0: 0}, {0: 2}, ({0: 2}, ResyncReason.TOPIC_LOST)),
        ({0: 3}, {0: 0, 1: 0}, {0: 5, 1: 0}, ({0: 5, 1: 0}, ResyncReason.TOPIC_GROWN)),
        ({0: 3, 1: 3}, {0: 0}, {0: 5}, ({0: 5}, ResyncReason.TOPIC_LOST)),
    ],
)
def test_where_a_feed_begins(
    held: dict[int, int], begins: dict[int, int], ends: dict[int, int], expected: object
) -> None:
    assert where_to_begin(held, begins, ends) == expected


def test_filters_name_what_is_wanted() -> None:
    some = Filters(frozenset({1}), TODAY, TODAY)
    assert some.include(key(1, 0))
    assert not any(some.include(other) for other in (key(2, 0), key(1, 1), key(1, -1)))
    assert Filters(frozenset({2, 1})).view == Filters(frozenset({1, 2})).view
    assert len({Filters().view, some.view, Filters(frozenset({1})).view, Filters(first=TODAY).view}) == 4
