"""The event as the peers read it, and the row that it makes."""

from datetime import date, datetime
from typing import Final

import msgspec

from bench.peers.days import ZONE, column


class RecordedBy(msgspec.Struct, gc=False):
    user_id: int


class Data(msgspec.Struct, gc=False):
    amount_cents: int
    payment_mode: str
    status: str
    currency: str | None = None
    category: str | None = None
    description: str | None = None
    bank_reference: str | None = None
    source: str | None = None


class Event(msgspec.Struct, gc=False):
    type: str
    org_id: int
    property_id: int
    aggregate_id: int
    version: int
    occurred_at: datetime
    recorded_by: RecordedBy
    data: Data


decode: Final = msgspec.json.Decoder(Event).decode

# fmt: off
Row = tuple[
    int, int, str, int, int, datetime, date, int,
    str, str, str | None, str | None, str | None, str | None, str | None, int,
]
# fmt: on
Total = tuple[int, int, date, int, int, int, int]


def row(event: Event) -> Row:
    """The event's row of `transactions`, in the order of its columns."""
    data = event.data
    return (
        event.org_id,
        event.aggregate_id,
        event.type,
        event.version,
        event.property_id,
        event.occurred_at,
        event.occurred_at.astimezone(ZONE).date(),
        data.amount_cents,
        data.payment_mode,
        data.status,
        data.currency,
        data.category,
        data.description,
        data.bank_reference,
        data.source,
        event.recorded_by.user_id,
    )


def figures(row: Row) -> list[int]:
    """What the row adds to its day's four figures; only approved money counts."""
    moved = [0, 0, 0, 0]
    if row[9] == "approved":
        moved[column(row[2], row[8])] = row[7]
    return moved


def totals(rows: list[Row]) -> list[Total]:
    """What the rows add to each day, in key order. Days to which nothing is added are left out."""
    days: dict[tuple[int, int, date], list[int]] = {}
    for each in rows:
        if each[9] == "approved":
            key = (each[0], each[4], each[6])
            moved = days.get(key)
            if moved is None:
                moved = days[key] = [0, 0, 0, 0]
            moved[column(each[2], each[8])] += each[7]
    # Key order: two processes that meet on one day must meet in the same order, or they deadlock.
    return [
        (*key, cash_in, bank_in, cash_out, bank_out)
        for key, (cash_in, bank_in, cash_out, bank_out) in sorted(days.items())
    ]
