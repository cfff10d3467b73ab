"""Transactions that are not what the store says: three accounts of each, side by side. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.rebuild.folding import Folded, Row, fold, snapshot_row, transaction_row
from pipeline.rebuild.paging import key_of
from pipeline.rebuild.scope import Part
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


def judge_page(events: Sequence[Row], snapshots: Sequence[Row], rows: Sequence[Row], wanted: Wanted) -> Iterator[Wrong]:
    """Those transactions of a page that are wrong. Each of the three is sorted by key."""
    events_of = _by_key(events)
    snapshot_of = {key_of(row): tuple(row)[3:] for row in snapshots}
    rows_of = _by_key(rows)
    for key in events_of.keys() | snapshot_of.keys() | rows_of.keys():
        stored = events_of.get(key)
        if not wanted.whole_store and not _told_whole(stored, snapshot_of.get(key), wanted.store_begins):
            continue  # some of its events may be in an archive: what stands is the better account
        folded = fold(None, stored) if stored is not None else None
        wrong = _judge(key, folded, snapshot_of.get(key), rows_of.get(key, ()), wanted)
        if wrong is not None:
            yield wrong


def _told_whole(stored: Sequence[Row] | None, snapshot: tuple[Any, ...] | None, store_begins: Instant) -> bool:
    """Whether the store, of which months have left, holds all of a transaction.

    A version 1 that came late is not its beginning, nor is one from a month that was restored beside a gap; and what
    stops short of the version that stands is not its end.
    """
    if stored is None or stored[0][3] != 1 or stored[0][14] != "applied" or stored[0][8] < store_begins:
        return False
    return snapshot is None or snapshot[0] <= stored[-1][3]


def _judge(
    key: AggregateKey, folded: Folded | None, snapshot: tuple[Any, ...] | None, rows: Sequence[Row], wanted: Wanted
) -> Wrong | None:
    places = tuple(row[3] for row in rows)
    expected = snapshot_row(folded) if folded is not None else None
    wrong_snapshot = Part.SNAPSHOTS in wanted.parts and snapshot != expected
    wrong_row = Part.TRANSACTIONS in wanted.parts and not _row_is_right(folded, rows, wanted.retained_from)
    if not wrong_snapshot and not wrong_row:
        return None
    return Wrong(key, folded, wrong_snapshot, wrong_row, places if wrong_row else ())


def _row_is_right(folded: Folded | None, rows: Sequence[Row], retained_from: Instant) -> bool:
    if folded is None:
        return not rows
    if not rows:
        return folded.snapshot.occurred_at < retained_from
    return len(rows) == 1 and tuple(rows[0])[3:] == transaction_row(folded)


def _by_key(rows: Sequence[Row]) -> dict[AggregateKey, list[Row]]:
    found: dict[AggregateKey, list[Row]] = {}
    for row in rows:
        key = (row[0], row[1], row[2])
        of_key = found.get(key)
        if of_key is None:
            found[key] = [row]
        else:
            of_key.append(row)
    return found
