"""In which order the records count, as far as offsets do not tell.

Within a lane the offsets of each topic tell. How the two topics of a lane are interleaved, and the lanes of an
organisation that is on several, only the database tells, by the instants at which it recorded what was applied.
What was judged under fewer lanes comes before what was judged under more: lanes are only added while all are drained.
Any order that keeps each topic's own is right; this is the one that the pipeline says it took.
"""

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, chain, islice
from math import inf
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple, TypeVar

from pipeline.oracle.books import RecordKey
from pipeline.oracle.decode import Event, Judged
from pipeline.oracle.decode_corrections import Correction
from pipeline.oracle.records import Rejected, Rules

_LAST: Final = datetime.max.replace(tzinfo=UTC)


class Place(NamedTuple):
    """Where an applied correction stands: behind the events of its lane below `position`."""

    position: int
    recorded_at: datetime


class Order(NamedTuple):
    """What the database tells about the order."""

    several: frozenset[int] = frozenset()  # orgs whose records are on several lanes
    recorded_at: Mapping[RecordKey, datetime] = {}  # of those orgs' events
    places: Mapping[RecordKey, Place] = {}  # of every applied correction


Events = Mapping[int, Sequence[Judged]]  # by lane
Corrections = Mapping[int, Sequence[Correction]]
UNTOLD: Final = Order()
T = TypeVar("T", Judged, Correction)


class Era(NamedTuple):
    """The records that were judged while there were so many lanes."""

    events: Events
    corrections: Corrections


def eras(
    events: Events,
    corrections: Corrections,
    rules: Mapping[int, Sequence[Rules]],
    correction_rules: Mapping[int, Sequence[Rules]],
) -> list[Era]:
    """The records apart by the number of lanes, the fewest first.

    A growth moves half of the organisations to another lane. Within an era only those of wrong partitioners are on
    several lanes, and the order of no others need be asked for.
    """
    of_lanes = chain(rules.values(), correction_rules.values())
    counts = sorted({each.lane_count for of_lane in of_lanes for each in of_lane})
    if len(counts) <= 1:
        return [Era(events, corrections)]
    return [
        Era(_judged_under(count, events, rules), _judged_under(count, corrections, correction_rules))
        for count in counts
    ]


def _judged_under(
    lane_count: int, records: Mapping[int, Sequence[T]], rules: Mapping[int, Sequence[Rules]]
) -> dict[int, Sequence[T]]:
    found = {}
    for lane, of_lane in records.items():
        starts = [
            next((each.position for each in rules[lane] if each.lane_count >= least), inf)
            for least in (lane_count, lane_count + 1)
        ]
        first, end = (bisect_left(of_lane, start, key=attrgetter("offset")) for start in starts)
        found[lane] = of_lane[first:end]
    return found


def orgs_on_several_lanes(events: Events, corrections: Corrections) -> frozenset[int]:
    """The orgs whose producers disagree about their lane, so that the topics alone do not tell their order."""
    lane_of: dict[int, int] = {}
    several = set()
    for by_lane in (events, corrections):
        for lane, records in by_lane.items():
            for judged in records:
                if not isinstance(judged, Rejected) and lane_of.setdefault(judged.org_id, lane) != lane:
                    several.add(judged.org_id)
    return frozenset(several)


def in_order(events: Events, corrections: Corrections, order: Order) -> Iterator[Judged | Correction]:
    """Lane after lane; then the orgs on several, whose lanes are interleaved as the database recorded them.

    No org meets another, so it does not matter that some come last.
    """
    apart = order.several
    lanes = sorted(events.keys() | corrections.keys())
    for lane in lanes:
        records = _interleaved(events.get(lane, ()), corrections.get(lane, ()), order.places)
        yield from (judged for judged in records if isinstance(judged, Rejected) or judged.org_id not in apart)
    if apart:
        stamped = []
        for lane in lanes:
            records = _interleaved(events.get(lane, ()), corrections.get(lane, ()), order.places)
            stamped.append(_stamped(records, order))
        # A merge, not a sort: within a lane the offsets decide, whatever the stamps say.
        yield from (judged for _, judged in heapq.merge(*stamped, key=itemgetter(0)))


def _interleaved(
    events: Sequence[Judged], corrections: Sequence[Correction], places: Mapping[RecordKey, Place]
) -> Iterator[Judged | Correction]:
    """A lane: each correction behind the events below its position.

    One that was not applied goes as late as its topic allows: a duplicate remains one however late it comes.
    """
    positions: list[float] = []
    position = inf
    for correction in reversed(corrections):
        place = places.get((correction.lane, correction.offset))
        position = position if place is None else place.position
        positions.append(position)
    at = 0
    for correction, position in zip(corrections, reversed(positions), strict=True):
        while at < len(events) and events[at].offset < position:
            yield events[at]
            at += 1
        yield correction
    yield from islice(events, at, None)


def _stamped(records: Iterable[Judged | Correction], order: Order) -> list[tuple[datetime, Event | Correction]]:
    """A lane's records of orgs on several lanes, with the times at which they were recorded.

    What was not stored goes as late as its lane allows, too.
    """
    apart = [judged for judged in records if not isinstance(judged, Rejected) and judged.org_id in order.several]
    stamped: list[tuple[datetime, Event | Correction]] = []
    stamp = _LAST
    for judged in reversed(apart):
        key = (judged.lane, judged.offset)
        if isinstance(judged, Event):
            stamp = order.recorded_at.get(key, stamp)
        elif key in order.places:
            stamp = order.places[key].recorded_at
        stamped.append((stamp, judged))
    return stamped[::-1]


class Placing:
    """Finds the place of each applied correction among the events of its lane.

    The position that was noted with it is believed only as far as `recorded_at` bears it out: every event that was
    recorded before stands below it, and none that was recorded after. Between the two are records that were not
    stored, and of these nothing but the noted position tells.
    """

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of (lane, offset, finance position, recorded_at), one for each applied correction."""
        self._lanes: dict[int, _LanePlacing] = {}
        by_lane: dict[int, list[tuple[datetime, int, int]]] = {}
        for lane, offset, position, recorded_at in rows:
            by_lane.setdefault(lane, []).append((recorded_at, offset, position))
        for lane, noted in by_lane.items():
            self._lanes[lane] = _LanePlacing(sorted(noted))

    def feed(self, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of (lane, offset, recorded_at, …), one for each stored event, in any order."""
        if not self._lanes:
            return
        for row in rows:
            if row[0] in self._lanes:
                self._lanes[row[0]].meet(row[1], row[2])

    def places(self, positions: Mapping[int, int | None]) -> dict[RecordKey, Place]:
        """The place of each correction; `positions` says where the lanes stand in `finance-events`."""
        return {
            (lane, offset): place
            for lane, placing in self._lanes.items()
            for offset, place in placing.places(positions.get(lane) or 0)
        }


class _LanePlacing:
    """The corrections of a lane in the order of their recording, and the events on either side of each."""

    def __init__(self, noted: list[tuple[datetime, int, int]]) -> None:
        self._noted = noted
        self._recorded_at = [recorded_at for recorded_at, _, _ in noted]
        self._lowest = [0] * len(noted)
        self._highest: list[float] = [inf] * len(noted)

    def meet(self, offset: int, recorded_at: datetime) -> None:
        after = bisect_left(self._recorded_at, recorded_at)  # the first correction that came after the event
        if after < len(self._noted):
            self._lowest[after] = max(self._lowest[after], offset + 1)
        if after > 0:
            self._highest[after - 1] = min(self._highest[after - 1], offset)

    def places(self, lane_position: int) -> Iterator[tuple[int, Place]]:
        lowest = accumulate(self._lowest, max)
        highest = list(accumulate(reversed([min(each, lane_position) for each in self._highest]), min))[::-1]
        for (recorded_at, offset, position), low, high in zip(self._noted, lowest, highest, strict=True):
            yield offset, Place(max(low, min(position, int(high))), recorded_at)
