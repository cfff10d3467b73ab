"""What stands in the tables of a transaction, as rebuild_standing reads it: each row with its snapshot. Pure."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from pipeline.rebuild.folding import Folded, Row, transaction_row
from schemas.records import AggregateKey

KEY: Final = itemgetter(slice(3))  # of a million rows: a function of ours would take three times as long
_ROW: Final = slice(3, 20)
_OWN: Final = slice(20, 23)  # what only the snapshot has: hash_version, content_hash, recorded_at
_AGREE: Final = 23
# The rest of a snapshot, version to approved_by_user_id: of one that does not agree with its row, and of one that does.
_REST: Final = itemgetter(slice(24, 35))
_REST_IN_ROW: Final = itemgetter(14, 4, 3, 5, 8, 9, 6, 16, 15, 18, 17)


def by_key(stands: Sequence[Row]) -> dict[AggregateKey, Sequence[Row]]:
    """A sorted page; of each key one, unless somebody has tampered."""
    found: dict[AggregateKey, Sequence[Row]] = {KEY(each): (each,) for each in stands}
    if len(found) < len(stands):
        return {key: tuple(group) for key, group in groupby(stands, KEY)}
    return found


def both_are_right(stands: Sequence[Row], folded: Folded) -> bool:
    """Whether row and snapshot agree with each other and with the fold: of nearly all, without taking them apart."""
    if len(stands) != 1 or not stands[0][_AGREE]:
        return False
    (one,) = stands
    fingerprint = folded.snapshot.fingerprint
    own = (fingerprint.hash_version, fingerprint.content_hash, folded.recorded_at)
    return bool(one[_ROW] == transaction_row(folded) and one[_OWN] == own)


def snapshot_among(stands: Sequence[Row]) -> tuple[Any, ...] | None:
    """The snapshot behind its key, in the order of folding.snapshot_row; None: there is none."""
    if not stands:
        return None
    one = stands[0]
    hash_version, content_hash, recorded_at = one[_OWN]
    if hash_version is None:
        return None
    version, *rest = _REST_IN_ROW(one) if one[_AGREE] else _REST(one)
    return (*KEY(one), version, hash_version, content_hash, *rest, recorded_at)


def rows_among(stands: Sequence[Row]) -> Sequence[tuple[Any, ...]]:
    """The rows behind their key, in the order of folding.transaction_row."""
    return [(*KEY(one), *one[_ROW]) for one in stands if one[3] is not None]
