"""What a growth would do, for each state in which it may find database and topics."""

import pytest

from pipeline.errors import SettingsRefused, TopicMismatch
from pipeline.growth import LANES_MAX, in_growing_order, plan_growth
from schemas.topics import Feed

NAMES = in_growing_order("p.")


def of(*counts: int) -> dict[str, int]:
    return dict(zip(NAMES, counts, strict=True))


def test_what_is_consumed_grows_last_and_the_events_the_very_last() -> None:
    assert NAMES[-2:] == [f"p.{Feed.CORRECTIONS}", f"p.{Feed.EVENTS}"]


@pytest.mark.parametrize(
    ("known", "counts", "begins", "left"),
    [
        (4, (4, 4, 4, 4, 4), True, 5),
        (0, (4, 4, 4, 4, 4), True, 5),  # no lane was ever claimed
        (8, (4, 4, 4, 4, 4), False, 5),
        (8, (8, 4, 4, 4, 4), False, 4),
        (8, (8, 8, 8, 8, 4), False, 1),
    ],
)
def test_what_is_left_to_do(known: int, counts: tuple[int, ...], begins: bool, left: int) -> None:
    growth = plan_growth(known, of(*counts), 8)
    assert growth.begins == begins
    assert growth.topics == tuple(NAMES[len(NAMES) - left :])


@pytest.mark.parametrize(
    ("known", "counts"),
    [
        (4, (4, 4, 4, 4, 8)),
        (4, (8, 4, 4, 4, 4)),
        (4, (8, 8, 8, 8, 8)),  # by hand, under a stream of four lanes
        (8, (4, 4, 4, 4, 8)),
        (8, (4, 8, 8, 8, 4)),
        (8, (8, 6, 4, 4, 4)),
        (8, (8, 16, 4, 4, 4)),
        (0, (4, 8, 8, 8, 8)),
    ],
)
def test_what_no_run_has_left_so_is_refused(known: int, counts: tuple[int, ...]) -> None:
    with pytest.raises(TopicMismatch, match="no growth of ours"):
        plan_growth(known, of(*counts), 8)


@pytest.mark.parametrize(
    ("known", "counts", "target", "said"),
    [
        (4, 4, 4, "there are 4 lanes"),
        (4, 4, 3, "there are 4 lanes"),
        (0, 4, 4, "there are 4 lanes"),
        (4, 4, LANES_MAX + 1, "at most 1024"),
        (8, 4, 16, "a growth to 8 lanes was interrupted"),
        (8, 4, 6, "a growth to 8 lanes was interrupted"),
        (8, 4, 4, "a growth to 8 lanes was interrupted"),
    ],
)
def test_a_target_that_is_none_is_refused(known: int, counts: int, target: int, said: str) -> None:
    with pytest.raises(SettingsRefused, match=said):
        plan_growth(known, of(*[counts] * len(NAMES)), target)
