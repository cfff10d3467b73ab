"""Transactions that are not what the store says: what is stored and what stands of each, side by side. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from pipeline.errors import StoreDamaged
from pipeline.rebuild.folding import Folded, Row, fold, snapshot_row, transaction_row
from pipeline.rebuild.scope import Part
from pipeline.rebuild.standing import KEY, both_are_right, by_key, rows_among, snapshot_among
from schemas.instants import Instant
from schemas.records import AggregateKey

FROM_THE_BEGINNING: Final[Instant] = -(1 << 63)  # PostgreSQL's -infinity


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be judged, and from where on."""

    parts: frozenset[Part]
    retained_from: Instant  # a transaction that occurred before is not given a row that it lacks
    whole_store: bool = True  # False: months have left it, and a transaction may have begun in one of them
    store_begins: Instant = FROM_THE_BEGINNING  # what was recorded from then on is in no archive


@dataclass(frozen=True, slots=True)
class Wrong:
    """A transaction whose snapshot or row must be written anew, or, without a fold, be taken away."""

    key: AggregateKey
    folded: Folded | None
    snapshot: bool  # whether the snapshot is to be written
    row: bool  # whether the row is to be written
    places: tuple[Instant, ...]  # where the row was found: once at most, unless somebody has tampered


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A transaction of which an event's bytes are not what they were: what ought to stand nobody can say."""

    key: AggregateKey
    error: StoreDamaged


def judge_page(events: Sequence[Row], stands: Sequence[Row], wanted: Wanted) -> Iterator[Wrong | Unreadable]:
    """Those transactions of a page that are wrong. Both accounts are sorted by key."""
    judge = _Judge(wanted)
    standing = by_key(stands)
    for key, group in groupby(events, KEY):
        wrong = judge(key, tuple(group), standing.pop(key, ()))
        if wrong is not None:
            yield wrong
    for key, of_key in standing.items():  # nothing stored stands behind these
        wrong = judge(key, (), of_key)
        if wrong is not None:
            yield wrong


class _Judge:
    """Holds what is stored against what stands, millions of times: what is wanted is asked once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._snapshots = Part.SNAPSHOTS in wanted.parts
        self._rows = Part.TRANSACTIONS in wanted.parts

    def __call__(self, key: AggregateKey, stored: Sequence[Row], stands: Sequence[Row]) -> Wrong | Unreadable | None:
        wanted = self._wanted
        if not wanted.whole_store and not _told_whole(stored, snapshot_among(stands), wanted.store_begins):
            return None  # some of its events may be in an archive: what stands is the better account
        try:
            folded = fold(None, stored) if stored else None
        except StoreDamaged as error:
            return Unreadable(key, error)
        if folded is not None and both_are_right(stands, folded):
            return None
        return self._closely(key, folded, snapshot_among(stands), rows_among(stands))

    def _closely(
        self, key: AggregateKey, folded: Folded | None, snapshot: Row | None, rows: Sequence[Row]
    ) -> Wrong | None:
        wrong_snapshot = self._snapshots and not _snapshot_is_right(folded, snapshot)
        wrong_row = self._rows and not _row_is_right(folded, rows, self._wanted.retained_from)
        if not wrong_snapshot and not wrong_row:
            return None
        return Wrong(key, folded, wrong_snapshot, wrong_row, tuple(row[3] for row in rows) if wrong_row else ())


def _told_whole(stored: Sequence[Row], snapshot: Row | None, store_begins: Instant) -> bool:
    """Whether the store, of which months have left, holds all of a transaction.

    A version 1 that came late is not its beginning, nor is one from a month that was restored beside a gap; and what
    stops short of the version that stands is not its end.
    """
    if not stored or stored[0][3] != 1 or stored[0][14] != "applied" or stored[0][8] < store_begins:
        return False
    return snapshot is None or bool(snapshot[3] <= stored[-1][3])


def _snapshot_is_right(folded: Folded | None, snapshot: Row | None) -> bool:
    if folded is None or snapshot is None:
        return folded is None and snapshot is None
    return bool(snapshot[3:] == snapshot_row(folded))


def _row_is_right(folded: Folded | None, rows: Sequence[Row], retained_from: Instant) -> bool:
    if folded is None:
        return not rows
    if not rows:
        return folded.snapshot.occurred_at < retained_from
    return len(rows) == 1 and bool(rows[0][3:] == transaction_row(folded))
