"""Properties that the writer has read before, for as long as nobody has changed them.

Whatever changes a property raises `properties_revision` of its organisation's home lane, under that lane's lock. A
batch holds the same lock, so a memory of the same revision is as good as the table.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from batchers.properties import Property
from schemas.records import PropertyKey
from schemas.routing import home_lane

# About 300 bytes each: 30 MB. Full, it is emptied, and what is busy comes back with the next batch: keeping the order
# of use, as an LRU does, would cost each event a microsecond.
_PROPERTIES_MAX = 100_000


class _Revised(Protocol):
    @property
    def properties_revision(self) -> int: ...


class PropertyMemory:
    """A bounded map from property to what was read, tagged with the revision at which it was read."""

    def __init__(self) -> None:
        self._entries: dict[PropertyKey, tuple[int, int, Property]] = {}  # home lane, its revision, what was read

    def recall(self, keys: Collection[PropertyKey], locked: Mapping[int, _Revised]) -> dict[PropertyKey, Property]:
        """Those of `keys` that are remembered and still true. Their home lanes are locked."""
        known = {}
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None:
                home, revision, property_ = entry
                if locked[home].properties_revision == revision:
                    known[key] = property_
        return known

    def remember(
        self, properties: Mapping[PropertyKey, Property], lane_count: int, locked: Mapping[int, _Revised]
    ) -> None:
        """Keep what was read, or what a committed batch has registered."""
        if len(self._entries) + len(properties) > _PROPERTIES_MAX:
            self._entries.clear()
        for key, property_ in properties.items():
            home = home_lane(key[0], lane_count)
            self._entries[key] = (home, locked[home].properties_revision, property_)
