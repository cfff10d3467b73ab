"""A batch's links: what it stores of each lane is bound to all that the lane has stored before (schemas.chain)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

import sql
from batchers.fence import LockedLane
from schemas.chain import CORRECTION_COLUMNS, EVENT_COLUMNS, ChainHead, LinkId, encode_head, head_after
from schemas.instants import Instant
from schemas.lanes import Batch

Row = tuple[Any, ...]
_EVENT_WIDTH: Final = len(EVENT_COLUMNS)
_EVENT_LANE: Final = EVENT_COLUMNS.index("lane")
_EVENT_RECORDED: Final = EVENT_COLUMNS.index("recorded_at")
_CORRECTION_LANE: Final = CORRECTION_COLUMNS.index("lane")
_CORRECTION_RECORDED: Final = CORRECTION_COLUMNS.index("recorded_at")


@dataclass(frozen=True, slots=True)
class Link:
    """A lane's link of one batch. It covers what the lane recorded from the first instant to the last."""

    id: LinkId
    first_recorded_at: Instant
    last_recorded_at: Instant
    previous_head: bytes
    head: bytes

    @property
    def told(self) -> bytes:
        """As the topic has it."""
        link = self.id
        return encode_head(
            ChainHead(
                lane=link.lane,
                seq=link.seq,
                head=self.head.hex(),
                batch_id=link.batch_id,
                owner_epoch=link.owner_epoch,
                cluster_epoch=link.cluster_epoch,
                events=link.events,
                corrections=link.corrections,
            )
        )


def links_of(
    batch: Batch,
    locked: Mapping[int, LockedLane],
    cluster_epoch: str,
    staged: Sequence[Row],
    corrections: Sequence[Row],
) -> dict[int, Link]:
    """By lane; a lane of which the batch stores nothing has none. `staged` rows begin with EVENT_COLUMNS."""
    events_of: dict[int, list[Row]] = defaultdict(list)
    for row in staged:
        events_of[row[_EVENT_LANE]].append(row[:_EVENT_WIDTH])
    corrections_of: dict[int, list[Row]] = defaultdict(list)
    for row in corrections:
        corrections_of[row[_CORRECTION_LANE]].append(row)
    return {
        lane: _link(batch, locked[lane], cluster_epoch, events_of.get(lane, []), corrections_of.get(lane, []))
        for lane in sorted(events_of.keys() | corrections_of.keys())
    }


def _link(
    batch: Batch, lane: LockedLane, cluster_epoch: str, events: Sequence[Row], corrections: Sequence[Row]
) -> Link:
    link = LinkId(
        lane=lane.lane,
        seq=lane.chain_seq + 1,
        batch_id=batch.batch_id,
        owner_epoch=lane.owner_epoch,
        cluster_epoch=cluster_epoch,
        events=len(events),
        corrections=len(corrections),
    )
    recorded = [row[_EVENT_RECORDED] for row in (*events[:1], *events[-1:])]
    recorded += [row[_CORRECTION_RECORDED] for row in (*corrections[:1], *corrections[-1:])]
    head = head_after(lane.chain_head, link, (*events, *corrections))
    return Link(link, min(recorded), max(recorded), lane.chain_head, head)


async def append_links(connection: asyncpg.Connection, links: Mapping[int, Link]) -> None:
    """Store the links of a batch."""
    await connection.executemany(
        sql.query("append_chain_links"),
        [
            (
                link.id.lane,
                link.id.seq,
                link.id.batch_id,
                link.id.owner_epoch,
                link.id.cluster_epoch,
                link.id.events,
                link.id.corrections,
                link.first_recorded_at,
                link.last_recorded_at,
                link.previous_head,
                link.head,
            )
            for link in links.values()
        ],
    )
