"""What users are called, as far as this writer has written it down itself: a name is said again with every event.

What is remembered is true while nobody else has written for the organisation. Whoever does stamps its home lane with a
later instant than ours (`ops.lanes.last_recorded_at`), and a batch holds that lane's lock: where the lane stands as we
left it, so do the names. A batch that was rolled back, or whose COMMIT was never answered, is not remembered.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from batchers.decide import Stored
from schemas.instants import Instant
from schemas.routing import home_lane

UserKey = tuple[int, int]  # org_id, user_id

# About 250 bytes each: 25 MB. Full, it is emptied: keeping the order of use would cost each event a microsecond.
_USERS_MAX = 100_000


class _Stamped(Protocol):
    @property
    def last_recorded_at(self) -> Instant: ...


class UserMemory:
    """A bounded map from user to name, by the home lane of the organisation."""

    def __init__(self) -> None:
        self._names: dict[int, dict[UserKey, str]] = {}
        self._left_at: dict[int, Instant] = {}

    def news(self, names: Mapping[UserKey, str], lane_count: int, locked: Mapping[int, _Stamped]) -> dict[UserKey, str]:
        """Those of `names` that may not be written down yet. The home lanes of their organisations are locked."""
        for lane, row in locked.items():
            if self._left_at.get(lane) != row.last_recorded_at:
                self._names.pop(lane, None)
        nothing: dict[UserKey, str] = {}
        return {
            key: name
            for key, name in names.items()
            if self._names.get(home_lane(key[0], lane_count), nothing).get(key) != name
        }

    def remember(self, names: Mapping[UserKey, str], lane_count: int, lanes: Iterable[int], left_at: Instant) -> None:
        """Keep what a committed batch has written, which left every lane that it had locked at `left_at`."""
        if sum(map(len, self._names.values())) + len(names) > _USERS_MAX:
            self._names.clear()
        for key, name in names.items():
            self._names.setdefault(home_lane(key[0], lane_count), {})[key] = name
        self._left_at.update(dict.fromkeys(lanes, left_at))


def names_of(stored: Iterable[Stored]) -> dict[UserKey, str]:
    """The newest name that the events give each user, in their order; those who are given none are left out."""
    names: dict[UserKey, str] = {}
    for event in (each.record.event for each in stored):
        name = event.recorded_by.name
        if name is not None:
            names[event.org_id, event.recorded_by.user_id] = name
    return names
