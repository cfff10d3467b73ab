"""A remembered property is as good as the table, or it is not remembered."""

from dataclasses import dataclass

import pytest

from batchers import property_memory
from batchers.properties import PropertyDefaults
from batchers.property_memory import PropertyMemory
from schemas.records import PropertyKey
from schemas.routing import home_lane

LANES = 4
PROPERTY = PropertyDefaults("INR", "Asia/Kolkata").register(None)
KEY: PropertyKey = (1, 1)
HOME = home_lane(1, LANES)


@dataclass
class Locked:
    properties_revision: int


def locked(*, home_revision: int, other_revision: int = 0) -> dict[int, Locked]:
    return {lane: Locked(home_revision if lane == HOME else other_revision) for lane in range(LANES)}


def test_what_was_remembered_is_recalled_and_nothing_else() -> None:
    memory = PropertyMemory()
    memory.remember({KEY: PROPERTY}, LANES, locked(home_revision=3))
    assert memory.recall({KEY, (1, 2)}, locked(home_revision=3)) == {KEY: PROPERTY}


@pytest.mark.parametrize("revision", [2, 4])
def test_another_revision_of_the_home_lane_makes_it_read_again(revision: int) -> None:
    memory = PropertyMemory()
    memory.remember({KEY: PROPERTY}, LANES, locked(home_revision=3))
    assert memory.recall({KEY}, locked(home_revision=revision)) == {}


def test_the_revision_of_another_lane_does_not_matter() -> None:
    memory = PropertyMemory()
    memory.remember({KEY: PROPERTY}, LANES, locked(home_revision=3))
    assert memory.recall({KEY}, locked(home_revision=3, other_revision=9)) == {KEY: PROPERTY}


def test_what_is_read_again_replaces_what_was_known() -> None:
    memory = PropertyMemory()
    changed = PropertyDefaults("USD", "Asia/Kolkata").register(None)
    memory.remember({KEY: PROPERTY}, LANES, locked(home_revision=3))
    memory.remember({KEY: changed}, LANES, locked(home_revision=4))
    assert memory.recall({KEY}, locked(home_revision=4)) == {KEY: changed}


def test_memory_is_bounded_and_begins_anew_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(property_memory, "_PROPERTIES_MAX", 2)
    memory, now = PropertyMemory(), locked(home_revision=0)
    memory.remember({(1, 1): PROPERTY, (1, 2): PROPERTY}, LANES, now)
    memory.remember({(1, 3): PROPERTY}, LANES, now)
    assert memory.recall({(1, 1), (1, 2), (1, 3)}, now).keys() == {(1, 3)}
