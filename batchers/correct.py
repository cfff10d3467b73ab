"""Corrections on top of what events have moved: pure, in offset order, after the events of the same batch.

figures            the day's movements become the stated ones; the difference is an adjustment, kept for ever
declared_closing   the day closes with what was counted; null takes the count back
recompute          the whole day becomes what is written elsewhere: movements as transactions and adjustments say, the
                   count as last declared, the opening as the day before closes; that is no adjustment

Several corrections of a day leave one new balance, the last word on each of its parts, and every adjustment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from batchers.carry import Balance
from batchers.coalesce import NOTHING, Count, Figures, Movement, Movements
from schemas.records import AcceptedCorrection, PropertyKey
from schemas.traceparent import traceparent_of

DayKey = tuple[int, int, date]  # org_id, property_id, balance_date


class Booked(NamedTuple):
    """What the rest of the database says of a day, whatever its row says."""

    figures: Figures  # of transactions and adjustments
    declared_closing_cents: int | None  # as the last correction declared it


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a figures correction did: the movements of its day before, and after."""

    record: AcceptedCorrection
    before: Figures
    after: Figures


def day_of(record: AcceptedCorrection) -> DayKey:
    correction = record.correction
    return correction.org_id, correction.property_id, correction.balance_date


def recomputed_days(corrections: Iterable[AcceptedCorrection]) -> list[DayKey]:
    """The days of which it must be known what the rest of the database says."""
    return sorted({day_of(record) for record in corrections if record.correction.kind == "recompute"})


class _Day:
    """A day while its corrections are applied, one after the other."""

    def __init__(self, row: Balance | None, movement: Movement | None) -> None:
        self._before = row.figures if row is not None else NOTHING
        self._count_before = row.declared_closing_cents if row is not None else None
        self.figures = self._before.plus(movement.figures) if movement is not None else self._before
        self.count = self._count_before
        self.adjusted = NOTHING  # by this batch
        self.counted = False  # by this batch
        self.recomputed = False

    def apply(self, record: AcceptedCorrection, booked: Mapping[DayKey, Booked]) -> Adjustment | None:
        correction, before = record.correction, self.figures
        if correction.figures is not None:
            self.figures = Figures(*msgspec.structs.astuple(correction.figures))
            self.adjusted = self.adjusted.plus(self.figures.minus(before))
            return Adjustment(record, before, self.figures)
        if correction.kind == "recompute":
            said = booked[day_of(record)]
            self.figures = said.figures.plus(self.adjusted)
            if not self.counted:
                self.count = said.declared_closing_cents
            self.recomputed = True
        elif correction.declared_closing_cents is not UNSET:
            self.count, self.counted = correction.declared_closing_cents, True
        return None

    def movement(self, record: AcceptedCorrection, sequence: int) -> Movement | None:
        """What the batch does to the day in all, blamed on its last correction; None when that is nothing.

        A day that is recomputed is looked at even then: its opening may be wrong.
        """
        figures = self.figures.minus(self._before)
        count = Count(self.count) if self.count != self._count_before else None
        if figures == NOTHING and count is None and not self.recomputed:
            return None
        traceparent = traceparent_of(record.origin.headers)
        return Movement(figures, sequence, record.correction.correction_id, "correction", count, traceparent)


def correct(
    movements: Movements,
    corrections: Sequence[AcceptedCorrection],
    existing: Mapping[PropertyKey, Sequence[Balance]],
    booked: Mapping[DayKey, Booked],
    first_sequence: int,
) -> tuple[Movements, list[Adjustment]]:
    """The movements of the batch with its corrections applied, and the adjustments that these became.

    `existing` holds the rows of every corrected day that has one. `booked` holds, for `recomputed_days`, what the
    database says with the events of this batch, and without its corrections.
    """
    days: dict[DayKey, _Day] = {}
    last: dict[DayKey, tuple[AcceptedCorrection, int]] = {}
    adjustments = []
    for sequence, record in enumerate(corrections, first_sequence):
        key = day_of(record)
        if key not in days:
            days[key] = _Day(_row(existing, key), movements.get(key[:2], {}).get(key[2]))
        adjustment = days[key].apply(record, booked)
        if adjustment is not None:
            adjustments.append(adjustment)
        last[key] = record, sequence
    corrected = {key: dict(moved) for key, moved in movements.items()}
    for key, day in days.items():
        _put(corrected, key, day.movement(*last[key]))
    return corrected, adjustments


def _row(existing: Mapping[PropertyKey, Sequence[Balance]], key: DayKey) -> Balance | None:
    org_id, property_id, day = key
    return next((row for row in existing.get((org_id, property_id), ()) if row.balance_date == day), None)


def _put(movements: Movements, key: DayKey, movement: Movement | None) -> None:
    org_id, property_id, day = key
    of_property = movements.setdefault((org_id, property_id), {})
    if movement is not None:
        of_property[day] = movement
    else:
        # What events moved, the corrections took back: the day stays as it is.
        of_property.pop(day, None)
        if not of_property:
            del movements[org_id, property_id]
