"""When each event was committed and when a subscriber saw it: pure, from what was noted while it happened.

Committed: a look at `ops.lanes` finds the lane's position behind the event. Looks are a few milliseconds apart, so this
is late by as much, never early. Seen: an update of the event's day arrives that was caused by it, or by a later event
of that day. Events are coalesced: many of them share an update.

An event whose day nets to nothing within its batch (created and deleted at once) has no update of its own. The next
update of that day, seconds later, would look like a terrible latency; it is known by its stamp, which was taken after
the event had been committed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bench.histogram import Histogram
from bench.live.receiver import Arrival
from bench.live.schedule import SILENT, DayKey, Schedule, lane_turns

_UNKNOWN: Final = -1


class Look(NamedTuple):
    """The positions of the lanes at one moment (wall clock)."""

    at_ns: int
    positions: Mapping[int, int]  # lane to next offset


@dataclass(frozen=True, slots=True)
class Sending:
    """When each turn was due, and behind which offsets of its lane they came."""

    start_ns: int
    rate: float
    first_offsets: Mapping[int, int]  # lane to the offset of its first event

    def due_ns(self, turn: int) -> int:
        return self.start_ns + int(turn * 1e9 / self.rate)


@dataclass(slots=True)
class Latencies:
    """Of all events of a step. What is not resolved is counted, and never left out silently."""

    commit: Histogram = field(default_factory=Histogram)
    stamp: Histogram = field(default_factory=Histogram)
    update: Histogram = field(default_factory=Histogram)
    silent: int = 0  # nobody is told of them
    netted: int = 0  # their day netted to nothing within their batch
    uncommitted: int = 0
    unseen: int = 0  # no later update of their day either: netted as well, or lost, which `folio verify` would find


def resolve(schedule: Schedule, sending: Sending, looks: Iterable[Look], arrivals: Iterable[Arrival]) -> Latencies:
    """The latencies of a step, each counted from the instant when the event was due."""
    committed_ns = commit_instants(schedule, sending.first_offsets, looks)
    seen = seen_instants(schedule, arrivals)
    latencies = Latencies()
    for turn, at_ns in enumerate(committed_ns):
        due_ns = sending.due_ns(turn)
        if at_ns == _UNKNOWN:
            latencies.uncommitted += 1
        else:
            latencies.commit.record_ns(at_ns - due_ns)
        if schedule.orgs[turn] == SILENT:
            latencies.silent += 1
        elif (arrival := seen[turn]) is None:
            latencies.unseen += 1
        elif at_ns != _UNKNOWN and arrival.changed_at_ns > at_ns:
            latencies.netted += 1
        else:
            latencies.update.record_ns(arrival.at_ns - due_ns)
            latencies.stamp.record_ns(arrival.changed_at_ns - due_ns)
    return latencies


def commit_instants(schedule: Schedule, first_offsets: Mapping[int, int], looks: Iterable[Look]) -> Sequence[int]:
    """By turn, when the event was found committed; -1 where it never was."""
    instants = [_UNKNOWN] * len(schedule)
    turns = lane_turns(schedule)
    done = dict.fromkeys(turns, 0)
    for look in looks:
        for lane, of_lane in turns.items():
            committed = min(look.positions.get(lane, 0) - first_offsets.get(lane, 0), len(of_lane))
            for turn in of_lane[done[lane] : committed]:
                instants[turn] = look.at_ns
            done[lane] = max(done[lane], committed)
    return instants


def seen_instants(schedule: Schedule, arrivals: Iterable[Arrival]) -> Sequence[Arrival | None]:
    """By turn, the update by which it was seen."""
    waiting: dict[DayKey, list[int]] = defaultdict(list)
    days = zip(schedule.orgs, schedule.properties, schedule.days, strict=True)
    for turn, day in enumerate(days):
        if day[0] != SILENT:
            waiting[day].append(turn)
    for turns in waiting.values():
        turns.reverse()  # the next one at the end, where it is taken from
    seen: list[Arrival | None] = [None] * len(schedule)
    for arrival in arrivals:
        turns = waiting.get(arrival.day, [])
        while turns and turns[-1] <= arrival.turn:
            seen[turns.pop()] = arrival
    return seen


def lag_records(look: Look, sending: Sending, lanes: Mapping[int, Sequence[int]]) -> int:
    """How many events were due at this look and not committed."""
    due = int((look.at_ns - sending.start_ns) * sending.rate / 1e9) + 1
    total = sum(len(turns) for turns in lanes.values())
    committed = sum(
        min(max(look.positions.get(lane, 0) - sending.first_offsets.get(lane, 0), 0), len(turns))
        for lane, turns in lanes.items()
    )
    return max(min(due, total) - committed, 0)
