"""What `realtime-updates` must still hold though its oldest records have expired.

Retention takes a partition's records away from its start, so what was appended after the first record held is there.
Of a balance without any update in the topic we know only when a worker says that it changed; worker and broker have
different clocks, and a wrong one must not look like a lost update. So the clocks are not compared across records: the
two times of one held update are. Where they agree, that update was committed when it was appended; and as `recorded_at`
rises with every commit of a lane, whatever the lane recorded later was committed and told later still.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pipeline.oracle.records import Record
from pipeline.oracle.routing import home_lane
from pipeline.oracle.updates import Update

# An update is told within milliseconds of its commit. One that was held up (a broker that was away, a suspended worker
# that sends its last ones hours later), or stamped by a clock that is off, has two times that differ: it tells nothing.
PROMPT: Final = timedelta(minutes=1)
# So far behind the first record held it must be, to have been committed after it too: more than it may have waited, and
# than the clocks may differ of two brokers that led the partition one after the other.
MARGIN: Final = timedelta(minutes=10)


class Routing(NamedTuple):
    """How records were spread over lanes, and whose came by another than their home."""

    lane_count: int
    misrouted_orgs: Collection[int]
    earlier_counts: Collection[int] = ()  # how many lanes there were before the topics grew

    def homes(self, org_id: int) -> set[int]:
        """The lanes at which an organisation is, or was, at home."""
        return {home_lane(org_id, count) for count in (self.lane_count, *self.earlier_counts)}


class Expiry:
    """Which updates may have left the topic, by the home lane of their organisation.

    `starts` has the first offset of each partition. A partition is a lane's own only while there are as many of the
    one as of the other; and the commits of an organisation with records off its home lane have no order, nor have
    those of one whose home has moved: of such nothing is required that may have expired.
    """

    def __init__(self, starts: Mapping[int, int], routing: Routing) -> None:
        self._routing = routing
        self._one_to_one = len(starts) == routing.lane_count
        expired = {partition for partition, start in starts.items() if start > 0}
        everywhere = range(routing.lane_count) if expired else ()
        self._expired_lanes = frozenset(expired if self._one_to_one else everywhere)
        self._first_held: dict[int, datetime] = {}
        self._held_since: dict[int, datetime] = {}

    def may_have_expired(self, org_id: int) -> bool:
        """Whether there may have been updates of the organisation that the topic does not hold any more."""
        return bool(self._expired_lanes) and not self._expired_lanes.isdisjoint(self._routing.homes(org_id))

    def begin(self, records: Sequence[Record]) -> None:
        """Take note of where partitions begin, of which these are the next records in order."""
        for record in records[:1]:
            self._first_held.setdefault(record.lane, record.appended_at)

    def hear(self, update: Update) -> None:
        """Learn from an update that the topic holds."""
        lane = self._ordered_lane(update.key[0])
        first_held = None if lane is None else self._first_held.get(lane)
        if lane is None or first_held is None or update.appended_at is None:
            return
        prompt = abs(update.appended_at - update.changed_at) <= PROMPT
        if prompt and update.appended_at - first_held >= MARGIN:
            self._held_since[lane] = min(update.changed_at, self._held_since.get(lane, update.changed_at))

    def must_hold(self, org_id: int, updated_at: datetime) -> bool:
        """Whether the update about a balance that changed at `updated_at` cannot have expired."""
        if not self.may_have_expired(org_id):
            return True
        lane = self._ordered_lane(org_id)
        since = None if lane is None else self._held_since.get(lane)
        return since is not None and updated_at > since

    def _ordered_lane(self, org_id: int) -> int | None:
        """The lane, among those with an expired partition, whose order is that of the organisation's updates."""
        if not self._one_to_one or not self.may_have_expired(org_id) or org_id in self._routing.misrouted_orgs:
            return None
        home, *moved_from = self._routing.homes(org_id)
        return None if moved_from else home
