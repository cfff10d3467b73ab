"""What waits for one subscriber: of each day its newest state alone, in the order of the newest changes.

A state is whole: whoever has the newest one of a day lacks nothing of it. So a slow subscriber is told less often, and
never anything wrong.
"""

from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from typing import Final

from pipeline.realtime.messages import Delivery, Entry, Key

_NONE: Final = 0  # versions begin with 1


class Offered(Enum):
    """What became of an entry."""

    QUEUED = "queued"
    CONFLATED = "conflated"  # queued in the place of an older state that was not taken
    STALE = "stale"  # not newer than what the subscriber has, or will be told


class Conflating:
    """A queue by day, and which version of each day the subscriber has been told.

    `known_max` versions are remembered, the most recent ones. A day that was forgotten comes without its previous
    version, and may come in an older one: subscribers drop what is not newer, by the contract of the topic.
    """

    def __init__(self, known_max: int) -> None:
        self._known_max = known_max
        # In the order of their offsets: a state that is replaced leaves its place and goes to the end.
        self._pending: OrderedDict[Key, Entry] = OrderedDict()
        self._known: OrderedDict[Key, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def first_offset(self) -> int | None:
        """Of what is taken next; None when nothing waits. Everything that waits lies at it or behind it."""
        return next(iter(self._pending.values())).offset if self._pending else None

    def offer(self, entry: Entry) -> Offered:
        key, version = entry.key, entry.update.version
        waiting = self._pending.get(key)
        newest = waiting.update.version if waiting is not None else self._known.get(key, _NONE)
        if version <= newest:
            return Offered.STALE
        self._pending[key] = entry
        self._pending.move_to_end(key)
        return Offered.QUEUED if waiting is None else Offered.CONFLATED

    def take(self) -> Delivery | None:
        """The state whose change is the oldest of those that wait."""
        if not self._pending:
            return None
        key, entry = self._pending.popitem(last=False)
        previous = self._known.get(key)
        self._know(key, entry.update.version)
        return Delivery(entry, previous)

    def note(self, versions: Mapping[Key, int]) -> None:
        """The subscriber has these versions from a snapshot: nothing that is not newer waits for it any more."""
        for key, version in versions.items():
            waiting = self._pending.get(key)
            if waiting is not None and waiting.update.version <= version:
                del self._pending[key]
            self._know(key, max(version, self._known.get(key, _NONE)))

    def clear(self) -> None:
        """Nothing waits, and nothing is known of what the subscriber has."""
        self._pending.clear()
        self._known.clear()

    def forget(self) -> None:
        """The subscriber gives up what it has, and begins anew with a snapshot."""
        self._known.clear()

    def _know(self, key: Key, version: int) -> None:
        self._known[key] = version
        self._known.move_to_end(key)
        if len(self._known) > self._known_max:
            self._known.popitem(last=False)
