"""Verifying the chain: links, store and corrections pass by, side by side; then what the topic was told.

A window of instants over all lanes at a time, each small enough to be sorted in memory:

links        of a lane ─┐
events       of a lane ─┼─ recompute ── compare with the link ── with the lane's row ── with the topic ── verdict
corrections  of a lane ─┘
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, NamedTuple

from pipeline.settings import DatabaseSettings
from pipeline.tamper.heads import LaneHeads, Standing, stretches
from pipeline.tamper.judging import (
    Finding,
    LaneChain,
    Met,
    Row,
    StoredLink,
    Verdict,
    correction_recorded_at,
    event_offset,
    event_recorded_at,
)
from pipeline.tamper.store import LONG_AGO, Store, snapshot
from pipeline.tamper.told import ToldHeads, told_heads
from schemas.chain import CORRECTION_COLUMNS, EVENT_COLUMNS, Linking
from schemas.instants import Instant

Progress = Callable[[int], None]  # events so far
_LANE_OF_EVENT: Final = EVENT_COLUMNS.index("lane")
_LANE_OF_CORRECTION: Final = CORRECTION_COLUMNS.index("lane")


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
        await told.look_again()
        lanes = await store.lanes(lane)
        after = await store.since(lane, since_seq) if lane is not None and since_seq > 1 else LONG_AGO
        windows = await store.windows(lane, since_seq)
        corrections = Ahead(store.corrections(lane, after, windows), _LANE_OF_CORRECTION, correction_recorded_at)
        months = await store.months()
        passing = [
            _Passing(each.lane, store.links(each.lane, since_seq), LaneChain(verdict, months, since_seq == 1))
            for each in lanes
        ]
        for until in windows:
            events = Ahead(store.events(lane, after, until), _LANE_OF_EVENT, event_recorded_at)
            for each in passing:
                await each.window(events, corrections, until)
            async for row in events.rest(until):
                verdict.find(Finding("an event of a lane that is not there", row[_LANE_OF_EVENT], 0))
            async for row in corrections.rest(until):
                verdict.find(Finding("a correction of a lane that is not there", row[_LANE_OF_CORRECTION], 0))
            progress(verdict.events)
            after = until
        for standing, each in zip(lanes, passing, strict=True):
            each.chain.end(standing.lane, standing.chain_seq, standing.chain_head)
            ours = Standing(standing.cluster_epoch, standing.untold, since_seq)
            await _hold_against_topic(verdict, standing.lane, ours, each.chain.newest, store, told)
    return verdict


async def _hold_against_topic(
    verdict: Verdict, lane: int, ours: Standing, newest: Mapping[str, int], store: Store, told: ToldHeads
) -> None:
    """The links once more, now a lane at a time, beside the heads of the lane: a stretch of each is held."""
    survey = await told.survey(lane)
    heads = LaneHeads(verdict, lane, ours, newest, survey.first, told.kept_since)
    async for stretch, links in stretches(store.links(lane, ours.since_seq), survey.offsets):
        heads.take(links, await told.heads(survey, stretch))
    heads.end()


class Ahead:
    """Rows by lane and instant, of which the next one can be looked at before it is taken."""

    def __init__(self, rows: AsyncIterator[Row], lane_column: int, recorded_at: Callable[[Row], Instant]) -> None:
        self._rows = rows
        self._lane_column = lane_column
        self._recorded_at = recorded_at
        self._next: Row | None = None

    async def until(self, lane: int, last: Instant) -> AsyncIterator[Row]:
        """Take the rows of a lane up to an instant."""
        while True:
            row = self._next if self._next is not None else await anext(self._rows, None)
            self._next = row
            if row is None or row[self._lane_column] != lane or self._recorded_at(row) > last:
                return
            self._next = None
            yield row

    async def rest(self, last: Instant) -> AsyncIterator[Row]:
        """Take what no lane has taken of a window that ends there."""
        while True:
            row = self._next if self._next is not None else await anext(self._rows, None)
            self._next = row
            if row is None or self._recorded_at(row) > last:
                return
            self._next = None
            yield row


class _Open(NamedTuple):
    """A link whose rows are being taken in. Its corrections wait: they are hashed after the last of its events."""

    link: StoredLink
    linking: Linking
    met: Met
    corrections: list[Row]


class _Passing:
    """One lane, as the windows pass by: a link that a window's end cuts goes on in the next window."""

    def __init__(self, lane: int, links: AsyncIterator[StoredLink], chain: LaneChain) -> None:
        self._lane = lane
        self._links = links
        self.chain = chain
        self._open: _Open | None = None
        self._previous_head: bytes | None = None

    async def window(self, events: Ahead, corrections: Ahead, until: Instant) -> None:
        """Take in the lane's rows up to `until`."""
        while (at := self._open or await self._begin()) is not None:
            last = min(at.link.last_recorded_at, until)
            await self._take(at, events, corrections, last)
            if at.link.last_recorded_at > until:
                return
            self._close(at)
        async for row in events.until(self._lane, until):
            self.chain.stray_event(None, row, self._lane)
        async for row in corrections.until(self._lane, until):
            self.chain.stray_correction(None, row, self._lane)

    async def _begin(self) -> _Open | None:
        link = await anext(self._links, None)
        if link is None:
            return None
        previous_head = link.previous_head if self._previous_head is None else self._previous_head
        self._open = _Open(link, Linking(previous_head, link.id), Met(), [])
        return self._open

    async def _take(self, at: _Open, events: Ahead, corrections: Ahead, last: Instant) -> None:
        async for row in events.until(self._lane, last):
            if event_recorded_at(row) < at.link.first_recorded_at:
                self.chain.stray_event(at.link, row, self._lane)
                continue
            at.linking.add(row)
            at.met.event(event_offset(row), event_recorded_at(row))
        async for row in corrections.until(self._lane, last):
            if correction_recorded_at(row) >= at.link.first_recorded_at:
                at.corrections.append(row)
            else:
                self.chain.stray_correction(at.link, row, self._lane)

    def _close(self, at: _Open) -> None:
        for row in at.corrections:
            at.linking.add(row)
            at.met.corrections += 1
        self.chain.close(at.link, at.linking, at.met)
        self._previous_head = at.link.head
        self._open = None
