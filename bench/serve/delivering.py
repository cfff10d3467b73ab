"""How long updates take to whoever follows: pure, from what was noted while it happened.

An event that changes a day is due at each subscriber of its organisation whose filter lets the day in; it has arrived
with the first update of that day that was caused by it or by a later event. A subscriber that gets only the newest of
several states (conflation) has got the older ones with it, as late as that.

Which events have an update at all is said by the topic (`bench.live.resolving`): where a day nets to nothing within its
batch there is none, and nobody can wait for it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.histogram import Histogram
from bench.live.resolving import commit_instants, seen_instants
from bench.live.stepping import Trace
from bench.serve.following import Deliveries


@dataclass(slots=True)
class Delivered:
    """Of all events that were due at a subscriber. What never came is counted, and never left out silently."""

    from_due: Histogram = field(default_factory=Histogram)
    from_commit: Histogram = field(default_factory=Histogram)  # as it was found, 5 ms late at most
    from_topic: Histogram = field(default_factory=Histogram)  # since another reader of the topic had it: the gateway's
    expected: int = 0
    missing: int = 0


def delivered(trace: Trace, deliveries: Deliveries, orgs: Sequence[int], first_day: int) -> Delivered:
    """`orgs`: by subscriber, the organisation that it follows, from `first_day` (an ordinal) on."""
    schedule, sending = trace.schedule, trace.sending
    committed_ns = commit_instants(schedule, sending.first_offsets, trace.looks)
    in_topic = seen_instants(schedule, trace.arrivals)
    followers: dict[int, list[int]] = defaultdict(list)
    for number, org_id in enumerate(orgs):
        followers[org_id].append(number)
    found = Delivered()
    waiting: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for turn, (org_id, property_id, day) in enumerate(
        zip(schedule.orgs, schedule.properties, schedule.days, strict=True)
    ):
        told = in_topic[turn]
        if told is None or told.changed_at_ns > committed_ns[turn] or day < first_day:
            continue
        for number in followers.get(org_id, ()):
            waiting[number, property_id, day].append(turn)
            found.expected += 1
    for turns in waiting.values():
        turns.reverse()  # the next one at the end, where it is taken from
    for at_ns, number, property_id, day, newest, _changed_at_ns in zip(*deliveries.columns, strict=True):
        turns = waiting.get((number, property_id, day), [])
        while turns and turns[-1] <= newest:
            turn = turns.pop()
            told = in_topic[turn]
            assert told is not None, "else nobody would wait for it"
            found.from_due.record_ns(at_ns - sending.due_ns(turn))
            found.from_commit.record_ns(at_ns - committed_ns[turn])
            found.from_topic.record_ns(at_ns - told.at_ns)
    found.missing = sum(map(len, waiting.values()))
    return found
