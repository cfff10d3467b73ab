"""Moving a lane by hand: where it stands, what would be skipped or consumed again, and who owns it.

Positions are in the database only. A lane that a worker owns is not moved: the worker would go on from where it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
import stamina
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import GroupCoordinatorNotAvailableError

import sql
from pipeline.broker import broker_options
from pipeline.errors import SettingsRefused, TopicMismatch
from pipeline.status import LaneStatus
from pipeline.storage.audit import audit
from pipeline.translate import broker_errors, database_errors
from schemas.topics import Feed

_COORDINATOR_SECONDS_MAX = 15.0
_MEMBERS = 5  # in Kafka's answer: error, group, state, kind of protocol, protocol, members


@dataclass(frozen=True, slots=True)
class Move:
    """A lane from one offset of a feed to another."""

    lane: int
    feed: Feed
    start: int
    target: int

    @property
    def consequence(self) -> str:
        """What the move does to the books, in a sentence."""
        if self.target > self.start:
            skipped = f"{self.target - self.start:,} records from {self.start} on"
            return f"skips {skipped}: they will not be in the books, and `folio verify` will say so"
        if self.target < self.start:
            again = f"{self.start - self.target:,} records from {self.target} on"
            return f"consumes {again} again: the books know them, and `folio verify` will find them counted twice"
        return "changes nothing"


def plan_move(status: LaneStatus, feed: Feed, to: str, beginning: int) -> Move:
    """Where a lane would go. `to` is an offset, or `beginning` or `end` of what the topic holds.

    Raises SettingsRefused when the topic does not reach that far.
    """
    at = status.feeds[feed]
    target = {"beginning": beginning, "end": at.end}.get(to)
    if target is None:
        if not to.isdecimal():
            raise SettingsRefused(f"--to {to!r}: an offset, `beginning` or `end` is accepted")
        target = int(to)
    if not beginning <= target <= at.end:
        raise SettingsRefused(f"--to {target}: lane {status.lane} of {feed} holds {beginning} to {at.end}")
    return Move(status.lane, feed, at.position, target)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the consumer group, and the lanes that it has: none while the group rebalances."""

    name: str
    lanes: frozenset[int]


# A broker makes the topic of its groups when it is first asked for one, and has no coordinator until then.
_patiently = stamina.retry(on=GroupCoordinatorNotAvailableError, attempts=None, timeout=_COORDINATOR_SECONDS_MAX)


async def group_members(bootstrap: str, group: str) -> list[Member]:
    """The members of the consumer group, as its coordinator says."""
    admin = AIOKafkaAdminClient(**broker_options(bootstrap), client_id="folio-positions")
    with broker_errors("asking for the members of the group"):
        await admin.start()
        try:
            (answer,) = await _patiently(admin.describe_consumer_groups)([group])
        finally:
            await admin.close()
    (group_answer,) = answer.groups
    return [_member(*described[:5]) for described in group_answer[_MEMBERS]]


def _member(member_id: str, client_id: str, _host: str, _metadata: bytes, assignment: bytes) -> Member:
    assigned = ConsumerProtocol.ASSIGNMENT.decode(assignment).assignment if assignment else ()
    return Member(client_id or member_id, frozenset(lane for _topic, partitions in assigned for lane in partitions))


async def owned_lanes(bootstrap: str, group: str) -> Mapping[int, str]:
    """Lane to the member of the consumer group that has it."""
    return {lane: member.name for member in await group_members(bootstrap, group) for lane in member.lanes}


async def move(connection: asyncpg.Connection, planned: Move, who: str) -> None:
    """Move the lane, fence off its last owner, and leave a row in the audit. Raises TopicMismatch for no such lane."""
    with database_errors("moving a lane"):
        async with connection.transaction():
            targets = [planned.target if planned.feed is feed else None for feed in Feed]
            done = await connection.execute(sql.query("set_position"), planned.lane, *targets)
            if done != "UPDATE 1":
                raise TopicMismatch(f"lane {planned.lane} was never claimed: there is no position to move")
            detail = {"lane": planned.lane, "feed": planned.feed, "from": planned.start, "to": planned.target}
            await audit(connection, who, "positions set", detail)
