"""The same day in every form that producers may give it: the same books, and the oracle agrees."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec

from schemas.topics import Feed
from tests.support.events import NOON, correction, encoded, event
from tests.support.stream import Message, Stream

Body = dict[str, Any]
Form = Callable[[Body], Message]

MESSAGEPACK = ("content-type", b"application/msgpack")
CARRIED = {
    "event_id": "ce_id",
    "type": "ce_type",
    "occurred_at": "ce_time",
    "correction_id": "ce_id",
    "issued_at": "ce_time",
}


def _key(body: Body) -> bytes:
    return str(body["org_id"]).encode()


def _attributes(body: Body) -> tuple[Body, list[tuple[str, bytes]]]:
    headers = [("ce_specversion", b"1.0"), ("ce_source", b"/property/1")]
    headers += [(attribute, body[field].encode()) for field, attribute in CARRIED.items() if field in body]
    return {name: value for name, value in body.items() if name not in CARRIED}, headers


def as_json(body: Body) -> Message:
    return _key(body), encoded(body)


def as_messagepack(body: Body) -> Message:
    return _key(body), msgspec.msgpack.encode(body), [MESSAGEPACK]


def as_cloud_event(body: Body) -> Message:
    left, headers = _attributes(body)
    return _key(body), encoded(left), [*headers, ("content-type", b"application/json; charset=utf-8")]


def as_cloud_event_in_messagepack(body: Body) -> Message:
    left, headers = _attributes(body)
    return _key(body), msgspec.msgpack.encode(left), [*headers, MESSAGEPACK]


FORMS: list[Form] = [as_json, as_messagepack, as_cloud_event, as_cloud_event_in_messagepack]  # of organisations 1, 2, …


def a_day(org: int) -> list[Body]:
    """Sixty events of twenty transactions: each made, changed, and every third one deleted or rejected."""
    bodies = []
    for number in range(1, 21):
        last = ("approved", "deleted", "rejected")[number % 3]
        for version, status in enumerate(("pending", "approved", last), start=1):
            bodies.append(
                event(
                    number,
                    version,
                    org=org,
                    kind=("revenue", "expense")[number % 2],
                    status=status,
                    amount=1000 * number + version,
                    mode=("cash", "bank")[number // 2 % 2],
                    at=NOON + timedelta(minutes=number, days=-(number % 4)),
                    description=f"Zimmer {number} ₹",
                    nights=number,
                )
            )
    return bodies


def corrections_of(org: int) -> list[Body]:
    """The cash of one day was counted, the figures of another were wrong."""
    counted = correction(id_=9001, org=org, day=NOON.date() - timedelta(days=2), declared=12_345)
    restated = correction(id_=9002, org=org, figures=(10, 20, 30, 40))
    return [counted, restated]


async def _books(connection: asyncpg.Connection, org: int) -> list[tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT property_id, balance_date, opening_balance_cents, cash_received_cents, bank_received_cents, "
        "cash_expenses_cents, bank_expenses_cents, declared_closing_cents, closing_balance_cents "
        "FROM finance.daily_cash_balances_partitioned WHERE org_id = $1 ORDER BY property_id, balance_date",
        org,
    )
    return [tuple(row) for row in rows]


async def test_one_day_in_four_forms_makes_the_same_books(stream: Stream) -> None:
    days = [a_day(org) for org in range(1, len(FORMS) + 1)]
    messages = [form(body) for bodies in zip(*days, strict=True) for form, body in zip(FORMS, bodies, strict=True)]
    # Sent again in another form: the same events, so duplicates and not conflicts.
    again = [FORMS[place - 1](body) for place, day in enumerate(days) for body in day[::6]]
    refused: list[Message] = [(b"1", encoded(event(99)), [("content-type", b"text/plain")])]
    events = [*messages, *again, *refused]
    corrections = [form(body) for org, form in enumerate(FORMS, start=1) for body in corrections_of(org)]
    await stream.send(events)
    with stream.worker() as worker:
        await stream.wait_until_consumed(len(events))
        # Only now: what restated figures weigh hangs on what is booked before.
        await stream.send(corrections, feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(len(events) + len(corrections))
        assert await worker.stop() == 0
    async with stream.database() as connection:
        books = [await _books(connection, org) for org in range(1, len(FORMS) + 1)]
        letters = await connection.fetch("SELECT reason, detail FROM ops.dead_letters")
    assert len(books[0]) == 4
    assert books[0][1][-2:] == (12_345, 12_345)
    assert books[0][3][3:7] == (10, 20, 30, 40)
    assert all(other == books[0] for other in books[1:])
    assert [letter["reason"] for letter in letters] == ["malformed"]
    assert "text/plain" in letters[0]["detail"]
    outcomes = await stream.outcomes()
    assert outcomes == {
        "applied": len(messages) + len(corrections),
        "duplicate": len(again),
        "stale": 0,
        "conflict": 0,
        "quarantined": len(refused),
    }
    report = await stream.prove()
    assert report.exit_code == 0, report
