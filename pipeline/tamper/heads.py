"""What the topic was told against the links of a lane: plain decisions, a stretch of numbers after the other.

A chain may have a hundred million links within what the topic keeps. So neither links nor heads of a lane are ever held
all at once, only those of one stretch.
"""

import sys
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.tamper.judging import KEPT_MAX, Finding, StoredLink, Verdict
from schemas.instants import Instant

# Numbers of links in a stretch: some five megabytes with the heads, and a hundred stretches for a million links.
NUMBERS_OF_STRETCH: Final = 10_000


class ToldHead(NamedTuple):
    """What the topic was told of a link: the head is in hex."""

    head: str
    since: bool  # told after the topic was opened: the link may be younger than what was asked of the database


Told = Mapping[tuple[int, str], ToldHead]  # by number of the link and cluster epoch


@dataclass(frozen=True, slots=True)
class StretchHeads:
    """What the topic was told of a stretch, as far as it was still there."""

    told: Told
    cut: bool = False  # the topic has dropped the first of them while it was read

    @property
    def first(self) -> int:
        """Of a stretch that was cut, the lowest number that can be missed."""
        return min((seq for seq, _ in self.told), default=sys.maxsize)


class LinkHead(NamedTuple):
    """Of a stored link, what the topic should have been told: the head is in hex."""

    seq: int
    epoch: str
    head: str
    recorded_at: Instant


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a lane besides its links."""

    cluster_epoch: str  # of the primary that was asked
    untold: bool  # whether its outbox has rows that were not published
    since_seq: int = 1


def stretch_of(seq: int) -> int:
    """The stretch in which a number is; they rise with it."""
    return seq // NUMBERS_OF_STRETCH


async def stretches(
    links: AsyncIterator[StoredLink], told: Collection[int]
) -> AsyncIterator[tuple[int, list[LinkHead]]]:
    """The links by stretch, rising; with them, empty, the stretches of `told` in which there is none."""
    only_told = deque(sorted(told))
    async for here, held in _by_stretch(links):
        while only_told and only_told[0] <= here:
            if (stretch := only_told.popleft()) < here:
                yield stretch, []
        yield here, held
    for stretch in only_told:
        yield stretch, []


async def _by_stretch(links: AsyncIterator[StoredLink]) -> AsyncIterator[tuple[int, list[LinkHead]]]:
    here, held = 0, list[LinkHead]()
    async for link in links:
        if held and stretch_of(link.id.seq) != here:
            yield here, held
            held = []
        here = stretch_of(link.id.seq)
        held.append(LinkHead(link.id.seq, link.id.cluster_epoch, link.head.hex(), link.last_recorded_at))
    if held:
        yield here, held


class LaneHeads:
    """One lane: `take` its stretches in their order, then `end`."""

    def __init__(
        self,
        verdict: Verdict,
        lane: int,
        ours: Standing,
        newest: Mapping[str, int],
        first_told: int | None,
        kept_since: Instant,
    ) -> None:
        """`newest`: the last link of each timeline. `first_told`: the lowest number that the topic knows.

        What was told of links since `kept_since` has not left the topic by its age.
        """
        self._verdict = verdict
        self._lane = lane
        self._ours = ours
        self._newest = newest
        self._first_told = first_told
        self._kept_since = kept_since
        # Links that the topic was not told of, since the newest that it was: the first of them, and how many there are.
        self._untold: list[LinkHead] = []
        self._untold_count = 0

    def take(self, links: Sequence[LinkHead], heads: StretchHeads) -> None:
        """Hold what the topic says against the links, both of one stretch.

        A head of another cluster epoch that the database does not know was lost in a failover, with the WAL's tail:
        that timeline ended there. Of the primary that is asked, and of a timeline that goes on behind it, none can be.
        What was told since speaks for the links that are there, and does not miss others.
        """
        told = heads.told
        stored = {(link.seq, link.epoch): link.head for link in links}
        for (seq, epoch), (head, since) in sorted(told.items()):
            if seq >= self._ours.since_seq and not (since and (seq, epoch) not in stored):
                self._judge(seq, epoch, head, stored.get((seq, epoch)))
        for link in links:
            if (link.seq, link.epoch) in told:
                self._accuse("the topic was not told of it")
            elif self._has_expired(link, heads):
                self._verdict.heads_expired += 1
            else:
                self._untold_count += 1
                if len(self._untold) < KEPT_MAX:
                    self._untold.append(link)

    def end(self) -> None:
        """What the topic was told nothing of since: it waits in the outbox, or nobody will tell it."""
        if self._ours.untold:
            self._verdict.heads_waiting += self._untold_count
        else:
            self._accuse("the topic was not told of it, and nothing waits in the outbox")

    def _has_expired(self, link: LinkHead, heads: StretchHeads) -> bool:
        """Whether the topic may have dropped what it was told of a link: by its age, and by where it stands.

        By its place alone a link that somebody made behind those of an idle lane would pass for an old one.
        """
        before = self._first_told is not None and link.seq < self._first_told
        return link.recorded_at < self._kept_since and (before or (heads.cut and link.seq < heads.first))

    def _judge(self, seq: int, epoch: str, head: str, stored: str | None) -> None:
        if stored == head:
            self._verdict.heads_agreed += 1
        elif stored is not None:
            self._find(f"the topic was told head {head[:16]}", seq, epoch)
        elif epoch == self._ours.cluster_epoch or self._newest.get(epoch, 0) > seq:
            self._find("the topic was told of a link that is not there", seq, epoch)
        else:
            self._verdict.lost_heads[epoch] = self._verdict.lost_heads.get(epoch, 0) + 1

    def _accuse(self, what: str) -> None:
        for link in self._untold:
            self._find(what, link.seq, link.epoch)
        self._verdict.findings_count += self._untold_count - len(self._untold)
        self._untold, self._untold_count = [], 0

    def _find(self, what: str, seq: int, epoch: str) -> None:
        self._verdict.find(Finding(what, self._lane, seq, None, epoch))
