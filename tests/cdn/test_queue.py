"""Which tags are due: values and a clock held in the hand."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cdn.queue import Due, PurgeQueue, QueueBounds

BOUNDS = QueueBounds(waiting_max=10, again_seconds=2, life_seconds_max=120)


def tags(due: list[Due]) -> list[str]:
    return [tag for tag, _ in due]


def test_each_tag_is_purged_at_once_and_once_more_later() -> None:
    queue = PurgeQueue(BOUNDS)
    assert queue.seconds_until_due(0) is None
    queue.add(["a", "b"], 0)
    assert queue.seconds_until_due(0) == 0
    due = queue.take(0, 5)
    assert due == [Due("a", 0), Due("b", 0)]
    queue.purged(due, 0.5)
    assert (queue.take(2.4, 5), queue.seconds_until_due(1.5)) == ([], 1.0)
    due = queue.take(2.5, 5)
    assert due == [Due("a", None), Due("b", None)]
    queue.purged(due, 2.5)
    assert (len(queue), queue.seconds_until_due(9)) == (0, None)


def test_a_tag_that_changes_again_waits_once_and_is_purged_again_after_the_last_change() -> None:
    queue = PurgeQueue(BOUNDS)
    queue.add(["a"], 0)
    queue.add(["b", "a"], 1)
    first = queue.take(1, 5)
    assert first == [Due("a", 1), Due("b", 1)]
    queue.purged(first, 1)
    queue.add(["a"], 2)  # while its second time is to come
    second = queue.take(2, 5)
    queue.purged(second, 2)
    assert tags(queue.take(3, 5)) == ["b"]
    assert tags(queue.take(4, 5)) == ["a"]


def test_a_change_during_the_purge_is_purged_too() -> None:
    queue = PurgeQueue(BOUNDS)
    queue.add(["a"], 0)
    due = queue.take(0, 5)
    queue.add(["a"], 0.1)
    queue.purged(due, 0.2)
    assert queue.take(0.2, 5) == [Due("a", 0.1)]


def test_what_was_not_purged_goes_first_the_next_time() -> None:
    queue = PurgeQueue(BOUNDS)
    queue.add(["a", "b", "c"], 0)
    due = queue.take(0, 2)
    queue.add(["b"], 1)
    assert queue.put_back(due, 1) == 0
    assert queue.take(1, 5) == [Due("a", 0), Due("b", 1), Due("c", 0)]


def test_with_no_room_the_oldest_are_left_out_and_those_first_that_were_purged_once() -> None:
    queue = PurgeQueue(BOUNDS)
    queue.add([f"once-{n}" for n in range(4)], 0)
    queue.purged(queue.take(0, 4), 0)
    assert queue.add([f"new-{n}" for n in range(9)], 1) == 3
    assert queue.add([f"newer-{n}" for n in range(3)], 2) == 3
    assert tags(queue.take(99, 20)) == [*(f"new-{n}" for n in range(2, 9)), *(f"newer-{n}" for n in range(3))]


def test_what_waits_for_longer_than_anything_is_kept_is_forgotten() -> None:
    queue = PurgeQueue(BOUNDS)
    queue.add(["a"], 0)
    queue.add(["b"], 50)
    assert queue.forget_outlived(122) == 0
    assert queue.forget_outlived(123) == 1
    assert tags(queue.take(123, 5)) == ["b"]


def test_at_the_end_nothing_waits_for_its_second_time() -> None:
    queue = PurgeQueue(BOUNDS)
    queue.add(["a"], 0)
    queue.purged(queue.take(0, 1), 0)
    queue.hasten(0.1)
    assert queue.take(0.1, 5) == [Due("a", None)]


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklm"), st.sampled_from(["add", "works", "fails"])), max_size=60))
def test_whatever_happens_no_change_goes_without_a_purge_after_it_unless_it_is_counted(
    steps: list[tuple[str, str]],
) -> None:
    """For each tag: either it still waits, or it was purged after its newest change, or something was lost."""
    queue, clock = PurgeQueue(BOUNDS), count()
    changed: dict[str, int] = {}
    purged: dict[str, int] = {}
    lost = 0
    for tag, what in steps:
        now = next(clock)
        if what == "add":
            changed[tag] = now
            lost += queue.add([tag], now)
            continue
        due = queue.take(now, 3)
        if what == "works":
            purged |= dict.fromkeys(tags(due), now)
            queue.purged(due, now)
        else:
            lost += queue.put_back(due, now)
        assert len(queue) <= BOUNDS.waiting_max
    waiting = set(tags(queue.take(next(clock), 100)))
    missed = {tag for tag, at in changed.items() if tag not in waiting and purged.get(tag, -1) < at}
    assert len(missed) <= lost
