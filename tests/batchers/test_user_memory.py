"""A remembered name is what the table says, or it is not remembered."""

from dataclasses import dataclass

import pytest

from batchers import user_memory
from batchers.user_memory import UserMemory
from schemas.routing import home_lane

LANES = 4
HOME, OTHER = home_lane(1, LANES), (home_lane(1, LANES) + 1) % LANES
ASHA = {(1, 7): "Asha"}


@dataclass
class Stamped:
    last_recorded_at: int


def locked(home: int, other: int = 0) -> dict[int, Stamped]:
    return {HOME: Stamped(home), OTHER: Stamped(other)}


def remembering() -> UserMemory:
    memory = UserMemory()
    assert memory.news(ASHA, LANES, locked(5)) == ASHA
    memory.remember(ASHA, LANES, locked(5), left_at=10)
    return memory


def test_what_was_written_is_no_news() -> None:
    memory = remembering()
    assert memory.news(ASHA, LANES, locked(10, 10)) == {}
    assert memory.news({(1, 7): "Ravi", (1, 8): "Asha"}, LANES, locked(10, 10)) == {(1, 7): "Ravi", (1, 8): "Asha"}


@pytest.mark.parametrize("stands_at", [9, 11])
def test_a_home_lane_that_somebody_else_has_stamped_is_asked_again(stands_at: int) -> None:
    assert remembering().news(ASHA, LANES, locked(stands_at, 10)) == ASHA


def test_another_lane_does_not_matter() -> None:
    assert remembering().news(ASHA, LANES, locked(10, 99)) == {}


def test_what_was_forgotten_stays_forgotten_until_it_is_written_again() -> None:
    memory = remembering()
    memory.news(ASHA, LANES, locked(11, 10))
    memory.remember({}, LANES, locked(11), left_at=20)
    assert memory.news(ASHA, LANES, locked(20, 20)) == ASHA


def test_memory_is_bounded_and_begins_anew_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_memory, "_USERS_MAX", 2)
    memory = UserMemory()
    memory.remember({(1, 1): "a", (1, 2): "b"}, LANES, locked(0), left_at=0)
    memory.remember({(1, 3): "c"}, LANES, locked(0), left_at=0)
    assert memory.news({(1, 1): "a", (1, 3): "c"}, LANES, locked(0)) == {(1, 1): "a"}
