"""Verifying the chain: links, store and corrections pass by once, side by side; then what the topic was told.

links        of a lane ─┐
events       of a lane ─┼─ recompute ── compare with the link ── with the lane's row ── with the topic ── verdict
corrections  of a lane ─┘
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

from pipeline.settings import DatabaseSettings
from pipeline.tamper.judging import (
    LaneChain,
    Met,
    Row,
    Standing,
    StoredLink,
    Verdict,
    correction_recorded_at,
    event_offset,
    event_recorded_at,
    judge_heads,
)
from pipeline.tamper.store import LONG_AGO, ChainLane, Store, snapshot
from pipeline.tamper.told import ToldHeads, told_heads
from schemas.chain import CORRECTION_COLUMNS, EVENT_COLUMNS, Linking
from schemas.instants import Instant

Progress = Callable[[int], None]  # events so far
_LANE_OF_EVENT: Final = EVENT_COLUMNS.index("lane")
_LANE_OF_CORRECTION: Final = CORRECTION_COLUMNS.index("lane")
_EVENTS_OF_PROGRESS: Final = 10_000


async def verify_chain(
    database_url: str,
    database: DatabaseSettings,
    bootstrap: str,
    topic: str,
    *,
    lane: int | None,
    since_seq: int,
    progress: Progress,
) -> Verdict:
    """What the chains of all lanes, or of one, prove from link `since_seq` on (only with a lane).

    Raises Transient when a server does not answer, Fatal when table or topic is not there.
    """
    verdict = Verdict()
    async with told_heads(bootstrap, topic) as told, snapshot(database_url, database) as store:
        lanes = await store.lanes(lane)
        after = await store.since(lane, since_seq) if lane is not None and since_seq > 1 else LONG_AGO
        verifier = _Verifier(store, told, verdict, await store.months(), since_seq, progress)
        events = Ahead(store.events(lane, after), _LANE_OF_EVENT, event_recorded_at)
        corrections = Ahead(store.corrections(lane, after), _LANE_OF_CORRECTION, correction_recorded_at)
        for standing in lanes:
            await verifier.lane(standing, events, corrections)
    return verdict


class Ahead:
    """Rows by lane and instant, of which the next one can be looked at before it is taken."""

    def __init__(self, rows: AsyncIterator[Row], lane_column: int, recorded_at: Callable[[Row], Instant]) -> None:
        self._rows = rows
        self._lane_column = lane_column
        self._recorded_at = recorded_at
        self._next: Row | None = None

    async def until(self, lane: int, last: Instant | None) -> AsyncIterator[Row]:
        """Take the rows of a lane up to an instant; up to its end when None."""
        while True:
            row = self._next if self._next is not None else await anext(self._rows, None)
            self._next = row
            if row is None or row[self._lane_column] != lane or (last is not None and self._recorded_at(row) > last):
                return
            self._next = None
            yield row


class _Verifier:
    def __init__(
        self,
        store: Store,
        told: ToldHeads,
        verdict: Verdict,
        months: frozenset[str],
        since_seq: int,
        progress: Progress,
    ) -> None:
        self._store = store
        self._told = told
        self._verdict = verdict
        self._months = months
        self._since_seq = since_seq
        self._progress = progress

    async def lane(self, standing: ChainLane, events: Ahead, corrections: Ahead) -> None:
        chain = LaneChain(self._verdict, self._months, self._since_seq == 1)
        links: dict[int, tuple[str, str]] = {}
        previous_head: bytes | None = None
        async for link in self._store.links(standing.lane, self._since_seq):
            await self._link(
                chain, link, link.previous_head if previous_head is None else previous_head, events, corrections
            )
            previous_head = link.head
            links[link.id.seq] = (link.id.cluster_epoch, link.head.hex())
        async for row in events.until(standing.lane, None):
            chain.stray(None, row, standing.lane)
        async for _ in corrections.until(standing.lane, None):
            pass
        chain.end(standing.lane, standing.chain_seq, standing.chain_head)
        ours = Standing(standing.cluster_epoch, standing.untold, self._since_seq)
        judge_heads(self._verdict, standing.lane, links, await self._told.of(standing.lane), ours)

    async def _link(
        self, chain: LaneChain, link: StoredLink, previous_head: bytes, events: Ahead, corrections: Ahead
    ) -> None:
        linking, met, lane = Linking(previous_head, link.id), Met(), link.id.lane
        async for row in events.until(lane, link.last_recorded_at):
            if event_recorded_at(row) < link.first_recorded_at:
                chain.stray(link, row, lane)
                continue
            linking.add(row)
            met.event(event_offset(row))
        async for row in corrections.until(lane, link.last_recorded_at):
            if correction_recorded_at(row) >= link.first_recorded_at:
                linking.add(row)
                met.corrections += 1
        chain.close(link, linking, met)
        if self._verdict.events // _EVENTS_OF_PROGRESS != (self._verdict.events - met.events) // _EVENTS_OF_PROGRESS:
            self._progress(self._verdict.events)
