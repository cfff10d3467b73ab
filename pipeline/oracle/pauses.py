"""Paused organisations: between which offsets their records were set aside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Stretch(NamedTuple):
    """Offsets of a lane from `start` up to, and without, `end`; None: it lasts."""

    start: int
    end: int | None

    def holds(self, offset: int) -> bool:
        return self.start <= offset and (self.end is None or offset < self.end)


class Pauses:
    """The stretches of one topic, by organisation and lane."""

    def __init__(self, stretches: Iterable[tuple[int, int, Stretch]] = ()) -> None:
        found: dict[tuple[int, int], list[Stretch]] = defaultdict(list)
        for org_id, lane, stretch in stretches:
            found[org_id, lane].append(stretch)
        self._stretches: Mapping[tuple[int, int], Sequence[Stretch]] = dict(found)

    def hold(self, org_id: int, lane: int, offset: int) -> bool:
        """Whether a record of the organisation was to be set aside."""
        return any(stretch.holds(offset) for stretch in self._stretches.get((org_id, lane), ()))


NO_PAUSES = Pauses()
