"""Which tags are to be purged, and when: plain values, and `now` in monotonic seconds.

Each is purged twice. At once; and again a little later, because an answer that was read before the change may be stored
after the first purge: it was under way, or came from a replica or a process that had not heard of the change yet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple


class Due(NamedTuple):
    """A tag whose time has come. `changed_at` is None the second time."""

    tag: str
    changed_at: float | None


@dataclass(frozen=True, slots=True)
class QueueBounds:
    """Tags that may wait, the pause before the second time, and how long anything is kept at the CDN."""

    waiting_max: int
    again_seconds: float
    life_seconds_max: float


class PurgeQueue:
    """A tag waits once, however often it changes: a purge that is still to come is one for all changes before it."""

    def __init__(self, bounds: QueueBounds) -> None:
        self._bounds = bounds
        self._first: dict[str, float] = {}  # when its newest change was heard of; in the order in which they came
        self._again: dict[str, float] = {}  # when it is due, soonest first

    def __len__(self) -> int:
        return len(self._first) + len(self._again)

    def add(self, tags: Iterable[str], now: float) -> int:
        """Tags that have changed. Returns how many were left out for want of room."""
        for tag in tags:
            self._first[tag] = now  # a tag that waits keeps its place: one that changes all the time must have its turn
        return self._cut()

    def take(self, now: float, most: int) -> list[Due]:
        """So many at most whose time has come. They are told of by `purged` or `put_back`."""
        due = [Due(tag, changed_at) for tag, changed_at in _head(self._first, most)]
        due += [Due(tag, None) for tag, at in _head(self._again, most - len(due)) if at <= now]
        for tag, changed_at in due:
            del (self._again if changed_at is None else self._first)[tag]
        return due

    def forget_outlived(self, now: float) -> int:
        """Forget tags that wait for so long that nothing from before is kept any more; returns how many."""
        ended = now - self._bounds.life_seconds_max - self._bounds.again_seconds
        before = len(self)
        self._first = {tag: changed_at for tag, changed_at in self._first.items() if changed_at >= ended}
        self._again = {tag: at for tag, at in self._again.items() if at >= ended}
        return before - len(self)

    def purged(self, taken: Sequence[Due], now: float) -> None:
        """These are purged; those that were for the first time come again."""
        for tag, changed_at in taken:
            if changed_at is not None:
                self._again.pop(tag, None)  # later than it was due before: soonest stays first
                self._again[tag] = now + self._bounds.again_seconds
        self._cut()

    def put_back(self, taken: Sequence[Due], now: float) -> int:
        """These are not purged: they go first the next time. Returns how many were left out for want of room."""
        first = {tag: changed_at for tag, changed_at in taken if changed_at is not None}
        again = [tag for tag, changed_at in taken if changed_at is None and tag not in self._again]
        self._first = first | self._first
        self._again = dict.fromkeys(again, now) | self._again
        return self._cut()

    def seconds_until_due(self, now: float) -> float | None:
        """0 where something is; None where nothing waits."""
        if self._first:
            return 0.0
        return next((max(at - now, 0.0) for at in self._again.values()), None)

    def hasten(self, now: float) -> None:
        """Nothing waits for its second time any more."""
        self._again = dict.fromkeys(self._again, now)

    def _cut(self) -> int:
        """What was purged once is left out before what was not; of both the oldest ones."""
        surplus = max(len(self) - self._bounds.waiting_max, 0)
        second = _head(self._again, surplus)
        for tag, _ in second:
            del self._again[tag]
        for tag, _ in _head(self._first, surplus - len(second)):
            del self._first[tag]
        return surplus


def _head(queue: dict[str, float], most: int) -> list[tuple[str, float]]:
    """The first so many, as a list: the queue may be changed while they are gone through."""
    return list(islice(queue.items(), most))
