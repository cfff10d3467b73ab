"""What the books said of a day at an instant of recording: two axes of time, the balance date and the recording.

Of each transaction counts the highest version that was recorded by then, in the property and on the day that it was
booked to then; to these come the adjustments and the declared closings of then, carried forward from the property's
opening cash. That cannot change once a day is booked (docs/properties.md): today's is that of then.

Answered only up to the safe watermark of the organisation: every writer stamps its home lane under the lane's lock, so
that whatever is recorded later gets a later instant. Past it, the same question could be answered in two ways.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import asyncpg

import sql
from pipeline.errors import HistoryArchived, NotSettled, ReadRefused
from pipeline.storage.intent import Intent
from pipeline.storage.partitions import EVENTS, SNAPSHOTS
from pipeline.storage.reading import Reads, Rows
from pipeline.storage.values import RecordedBalance
from schemas.codec import reread
from schemas.headers import unpacked_headers
from schemas.routing import home_lane

# Each comes with the bytes of its record, 400 as a rule, and is decoded: half a second and 40 MB.
_CHANGED_MAX: Final = 100_000
_ZERO: Final = (0, 0, 0, 0)
_COLUMN: Final = {("revenue", "cash"): 0, ("revenue", "bank"): 1, ("expense", "cash"): 2, ("expense", "bank"): 3}

Figures = tuple[int, int, int, int]  # cash received, bank received, cash expenses, bank expenses


@dataclass(frozen=True, slots=True)
class Recorded:
    """What had been recorded for the days of a property: their movements, and their counts."""

    movements: Mapping[date, Figures]
    counts: Mapping[date, int]


class AsOf:
    """Each answer is of one organisation, and of one property of it."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def safe_watermark(self, org_id: int, *, intent: Intent) -> datetime:
        """The latest instant that `balance` answers: until then nothing of the organisation is recorded any more.

        Raises ReadRefused where nothing was ever consumed.
        """
        (row,) = await self._reads.rows(org_id, intent, sql.query("safe_watermarks"), ())
        return _watermark(org_id, row["watermarks"])

    async def balance(
        self, org_id: int, property_id: int, day: date, recorded_at: datetime, *, intent: Intent
    ) -> RecordedBalance | None:
        """The day as the books had it at `recorded_at`, row or not. None: there is no such property.

        Raises NotSettled past the safe watermark, HistoryArchived where the versions from then have left the store, and
        ReadRefused for an instant without offset, or where more than 100,000 transactions have changed since then.
        """
        if recorded_at.tzinfo is None:
            raise ReadRefused(f"{recorded_at.isoformat()}: an instant needs its offset from UTC")

        async def settled(connection: asyncpg.Connection) -> Rows:
            # The watermark first, and of the same server: what is read after it holds all that was recorded by then.
            (row,) = await self._reads.fetch(connection, sql.query("safe_watermarks"), (), org_id)
            _refuse_past(_watermark(org_id, row["watermarks"]), org_id, recorded_at)
            statement, expected = sql.query("booked_as_recorded"), (*SNAPSHOTS, *EVENTS)
            arguments = (property_id, day, recorded_at, _CHANGED_MAX + 1)
            return await self._reads.fetch(connection, statement, expected, org_id, *arguments)

        rows = await self._reads.together(org_id, intent, settled)
        opening_cash_cents = next((row["cents"] for row in rows if row["part"] == "property"), None)
        if opening_cash_cents is None:
            return None
        _refuse_what_is_lost(rows, recorded_at)
        return _recorded_balance(property_id, day, recorded_at, opening_cash_cents, recorded(rows))


def _watermark(org_id: int, of_lanes: Sequence[datetime]) -> datetime:
    """That of the home lane. The database has one for each lane that there is, whatever settings say."""
    if not of_lanes:
        raise ReadRefused("there are no lanes yet: nothing was recorded that could be asked for")
    return of_lanes[home_lane(org_id, len(of_lanes))]


def _refuse_past(watermark: datetime, org_id: int, recorded_at: datetime) -> None:
    if recorded_at > watermark:
        raise NotSettled(
            f"organisation {org_id} is settled up to {watermark.isoformat()}, "
            f"and {recorded_at.isoformat()} was asked for: ask for the first, or wait for its next event"
        )


def _refuse_what_is_lost(rows: Rows, recorded_at: datetime) -> None:
    if any(row["part"] == "lost" for row in rows):
        raise HistoryArchived(
            f"what was recorded by {recorded_at.isoformat()} is in months of event_store.events that were archived: "
            "restore them and ask again"
        )
    if sum(row["part"] == "changed" for row in rows) > _CHANGED_MAX:
        raise ReadRefused(
            f"more than {_CHANGED_MAX:,} transactions have changed since {recorded_at.isoformat()}: "
            "ask for a later instant"
        )


def recorded(rows: Iterable[Any]) -> Recorded:
    """The rows of booked_as_recorded, added up by day."""
    movements: defaultdict[date, list[int]] = defaultdict(lambda: list(_ZERO))
    counts: dict[date, int] = {}
    for row in rows:
        day = row["balance_date"]
        match row["part"]:
            case "unchanged":
                movements[day][_COLUMN[row["kind"], row["payment_mode"]]] += row["cents"]
            case "changed":
                column, cents = _contribution(row["kind"], row["event_data"], row["headers"])
                movements[day][column] += cents
            case "adjusted":
                for column in range(4):
                    movements[day][column] += row[_ADJUSTED[column]]
            case "counted" if row["cents"] is not None:
                counts[day] = row["cents"]
    return Recorded({day: (each[0], each[1], each[2], each[3]) for day, each in movements.items()}, counts)


_ADJUSTED: Final = ("cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents")


def _contribution(kind: str, event_data: bytes, headers: bytes | None) -> tuple[int, int]:
    """The figure that a stored version counts in, and what it adds: only approved money counts."""
    data = reread(event_data, unpacked_headers(headers)).data
    return _COLUMN[kind, data.payment_mode], data.amount_cents if data.status == "approved" else 0


def carried(opening_cash_cents: int, books: Recorded, day: date) -> tuple[int, Figures, int | None]:
    """A day's opening, movements and count: the opening of each day is the closing of the one before."""
    opening = opening_cash_cents
    for each in sorted(other for other in books.movements.keys() | books.counts.keys() if other < day):
        figures, count = books.movements.get(each, _ZERO), books.counts.get(each)
        opening = opening + figures[0] - figures[2] if count is None else count
    return opening, books.movements.get(day, _ZERO), books.counts.get(day)


def _recorded_balance(
    property_id: int, day: date, recorded_at: datetime, opening_cash_cents: int, books: Recorded
) -> RecordedBalance:
    opening, figures, count = carried(opening_cash_cents, books, day)
    calculated = opening + figures[0] - figures[2]
    closing = calculated if count is None else count
    return RecordedBalance(
        property_id, day, recorded_at, opening, *figures, calculated, count, closing, closing - calculated
    )
