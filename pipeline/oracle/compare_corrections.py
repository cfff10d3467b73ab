"""Two sides, differences, for corrections: what was applied, in which order, and what it did to its day."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pipeline.oracle.books import Adjustment, Books, RecordKey
from pipeline.oracle.compare import CORRECTIONS, RowComparison
from pipeline.oracle.content_hash import CORRECTION_HASH_VERSION, correction_hash
from pipeline.oracle.decode_corrections import Correction
from pipeline.oracle.findings import Findings
from pipeline.oracle.movements import Movements
from pipeline.oracle.order import Place

ADJUSTMENTS: Final = "adjustments"

_CORRECTION: Final = (
    *("lane", "record_offset", "finance_position"),
    *("property_id", "balance_date", "kind", "declared_closing_cents"),
    *("appended_at", "issued_at", "recorded_by_user_id", "reason", "correction_data_sha256"),
    *("hash_version", "content_hash"),
)
_ADJUSTMENT: Final = (
    *(name.replace("_cents", "_before_cents") for name in Movements._fields),
    *(name.replace("_cents", "_after_cents") for name in Movements._fields),
    "recorded_at",
)


def corrections(books: Books, places: Mapping[RecordKey, Place]) -> RowComparison[Correction]:
    """Compares `ops.balance_corrections`; uses up `books.corrections`."""

    def row(correction: Correction) -> tuple[Any, ...]:
        content, place = correction.content, places.get((correction.lane, correction.offset))
        return (
            *(correction.lane, correction.offset, None if place is None else place.position),
            *(content.property_id, content.balance_date, content.kind, content.declared_closing_cents),
            *(correction.appended_at, content.issued_at, content.user_id, content.reason, correction.digest),
            *(CORRECTION_HASH_VERSION, correction_hash(correction)),
        )

    return RowComparison(CORRECTIONS, ("org_id", "correction_id"), _CORRECTION, books.corrections, row)


def adjustments(books: Books) -> RowComparison[Adjustment]:
    """Compares `ops.balance_adjustments`; uses up `books.adjustments`."""

    def row(adjustment: Adjustment) -> tuple[Any, ...]:
        return (*adjustment.before, *adjustment.after, adjustment.recorded_at)

    key_names = ("org_id", "property_id", "balance_date", "correction_id")
    return RowComparison(ADJUSTMENTS, key_names, _ADJUSTMENT, books.adjustments, row)


def order(findings: Findings, rows: Iterable[Sequence[Any]]) -> None:
    """In each lane `recorded_at` must rise strictly with the offset, and the position among the events never fall.

    Rows of (lane, offset, finance position, recorded_at), each lane's in offset order.
    """
    newest: dict[int, tuple[int, datetime]] = {}
    for lane, offset, position, recorded_at in rows:
        if lane in newest:
            position_before, recorded_before = newest[lane]
            key = {"lane": lane, "record_offset": offset}
            if recorded_at <= recorded_before:
                findings.differ(CORRECTIONS, key, {"recorded_after": recorded_before}, {"recorded_at": recorded_at})
            if position < position_before:
                expected, actual = {"finance_position_from": position_before}, {"finance_position": position}
                findings.differ(CORRECTIONS, key, expected, actual)
        newest[lane] = position, recorded_at
