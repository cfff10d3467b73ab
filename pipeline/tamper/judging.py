"""What a chain proves: plain decisions over links and rows. No server is asked here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from schemas.chain import CORRECTION_COLUMNS, EVENT_COLUMNS, LinkId, Linking
from schemas.instants import Instant, moment_of

Row = Sequence[Any]
_EVENT_RECORDED: Final = EVENT_COLUMNS.index("recorded_at")
_EVENT_OFFSET: Final = EVENT_COLUMNS.index("record_offset")
_CORRECTION_RECORDED: Final = CORRECTION_COLUMNS.index("recorded_at")
_CORRECTION_OFFSET: Final = CORRECTION_COLUMNS.index("record_offset")
# A wholly rewritten store breaks every link; the first hundred show it as well as a million would. All are counted.
KEPT_MAX: Final = 100


class StoredLink(NamedTuple):
    """A row of event_store.chain_links."""

    id: LinkId
    first_recorded_at: Instant
    last_recorded_at: Instant
    previous_head: bytes
    head: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the chain says. The offsets are of the rows of the batch that are there now."""

    what: str
    lane: int
    seq: int
    batch_id: UUID | None = None
    cluster_epoch: str | None = None
    first_offset: int | None = None
    last_offset: int | None = None


@dataclass(slots=True)
class Verdict:
    """What was verified, what was not, and what was found."""

    links: int = 0
    events: int = 0
    corrections: int = 0
    before_the_chain: int = 0
    archived_links: int = 0
    archived_events: int = 0
    heads_agreed: int = 0
    heads_waiting: int = 0  # links that the topic does not have yet: their row waits in the outbox
    heads_expired: int = 0  # links from before what the topic still holds
    lost_heads: dict[str, int] = field(default_factory=dict)  # by timeline: told, then lost in a failover
    findings: list[Finding] = field(default_factory=list)
    findings_count: int = 0

    def find(self, finding: Finding) -> None:
        """Count it, and keep it if it is one of the first."""
        self.findings_count += 1
        if len(self.findings) < KEPT_MAX:
            self.findings.append(finding)


class LaneChain:
    """One lane's links, one after the other, each with its rows."""

    def __init__(self, verdict: Verdict, months: frozenset[str], from_the_first: bool) -> None:
        """`months`: YYYY_MM that were taken out of the store. `from_the_first`: every link is asked for."""
        self._verdict = verdict
        self._months = months
        self._from_the_first = from_the_first
        self._last: StoredLink | None = None
        self.newest: dict[str, int] = {}  # of each timeline that links were made on, the number of its last

    def stray_event(self, link: StoredLink | None, row: Row, lane: int) -> None:
        """An event that no link covers: from before the chain, or added later.

        A first link that stands on nothing says that no event came before it.
        """
        first = link is None or (self._from_the_first and link.id.seq == 1 and any(link.previous_head))
        self._stray("an event", link, event_offset(row), lane, from_before=first)

    def stray_correction(self, link: StoredLink | None, row: Row, lane: int) -> None:
        """A correction that no link covers. Before there were links, no chain told of any."""
        first = link is None or (self._from_the_first and link.id.seq == 1)
        self._stray("a correction", link, row[_CORRECTION_OFFSET], lane, from_before=first)

    def _stray(self, what: str, link: StoredLink | None, offset: int, lane: int, *, from_before: bool) -> None:
        near = self._last or link
        if self._last is None and from_before:
            self._verdict.before_the_chain += 1
        elif near is not None:
            finding = Finding(f"{what} that no link covers", lane, near.id.seq, near.id.batch_id, None, offset, offset)
            self._verdict.find(finding)

    def close(self, link: StoredLink, linking: Linking, met: "Met") -> None:
        """Judge a link whose rows have all been taken in."""
        verdict, last, self._last = self._verdict, self._last, link
        verdict.links += 1
        self.newest[link.id.cluster_epoch] = link.id.seq
        if (last is None and self._from_the_first and link.id.seq != 1) or (
            last is not None and link.id.seq != last.id.seq + 1
        ):
            verdict.find(_finding("links before it are missing", link, met))
        if last is not None and link.previous_head != last.head:
            verdict.find(_finding("it does not stand on the head of the link before", link, met))
        archived = met.events < link.id.events and self._is_archived(link, met)
        if archived:
            verdict.archived_links += 1
            verdict.archived_events += link.id.events
        else:
            verdict.events += met.events
            verdict.corrections += met.corrections
        if not archived and met.events != link.id.events:
            verdict.find(_finding(f"{met.events} events are stored, {link.id.events} were", link, met))
        elif met.corrections != link.id.corrections:
            verdict.find(_finding(f"{met.corrections} corrections are stored, {link.id.corrections} were", link, met))
        elif not archived and linking.head != link.head:
            verdict.find(_finding("what is stored is not what the link covers", link, met))

    def end(self, lane: int, seq: int, head: bytes) -> None:
        """The lane's own row must name the newest link."""
        newest = self._last
        if newest is None:
            if seq and self._from_the_first:
                self._verdict.find(Finding(f"the lane stands at link {seq}, and has none", lane, seq))
            return
        if (newest.id.seq, newest.head) != (seq, head):
            what = f"the lane stands at link {seq}, head {head.hex()[:16]}, the newest link is another"
            self._verdict.find(Finding(what, lane, newest.id.seq, newest.id.batch_id, newest.id.cluster_epoch))

    def _is_archived(self, link: StoredLink, met: "Met") -> bool:
        """Whether what misses may be of a month that maintenance took out, on record, and of which nothing is left.

        A batch that was recorded while a month ended has rows of two. Rows that miss elsewhere were removed.
        """
        left = {_month(link.first_recorded_at), _month(link.last_recorded_at)} & self._months
        return bool(left) and left.isdisjoint(map(_month, met.recorded))


@dataclass(slots=True)
class Met:
    """The rows of a link that are there, the events in the order of recording."""

    events: int = 0
    corrections: int = 0
    first_offset: int | None = None
    last_offset: int | None = None
    recorded: tuple[Instant, ...] = ()  # the first and the last of the events

    def event(self, offset: int, recorded_at: Instant) -> None:
        """One more event."""
        self.events += 1
        self.first_offset = offset if self.first_offset is None else self.first_offset
        self.last_offset = offset
        self.recorded = (*self.recorded[:1], recorded_at)


def _month(instant: Instant) -> str:
    """YYYY_MM; nothing for what no calendar has: whoever rewrites a link may write anything there."""
    try:
        return moment_of(instant).strftime("%Y_%m")
    except OverflowError:
        return ""


def _finding(what: str, link: StoredLink, met: Met) -> Finding:
    ours = link.id
    return Finding(what, ours.lane, ours.seq, ours.batch_id, ours.cluster_epoch, met.first_offset, met.last_offset)


def event_recorded_at(row: Row) -> Instant:
    """When an event was recorded."""
    instant: Instant = row[_EVENT_RECORDED]
    return instant


def correction_recorded_at(row: Row) -> Instant:
    """When a correction was recorded."""
    instant: Instant = row[_CORRECTION_RECORDED]
    return instant


def event_offset(row: Row) -> int:
    """Where an event stood in its topic."""
    offset: int = row[_EVENT_OFFSET]
    return offset
