"""The same day in every form, and from every client, that producers may use: the same books, and the oracle agrees."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zlib import crc32

import asyncpg
import msgspec

from schemas.routing import home_lane
from schemas.topics import Feed
from tests.support.events import NOON, correction, encoded, event
from tests.support.producers import send_by_confluent, send_by_console
from tests.support.stream import Message, Stream

Body = dict[str, Any]
Form = Callable[[Body], Message]
Client = Callable[[Stream, Feed, Sequence[Message]], Awaitable[None]]

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


def as_json_that_says_so(body: Body) -> Message:
    return _key(body), encoded(body), [("content-type", b"application/json")]


async def by_aiokafka(stream: Stream, feed: Feed, messages: Sequence[Message]) -> None:
    await stream.send(messages, feed=feed)


async def by_confluent(stream: Stream, feed: Feed, messages: Sequence[Message]) -> None:
    await send_by_confluent(stream.endpoints.kafka_bootstrap, stream.prefix + feed, messages)


async def by_console(stream: Stream, feed: Feed, messages: Sequence[Message]) -> None:
    await send_by_console(stream.endpoints.kafka_bootstrap, stream.prefix + feed, messages)


@dataclass(frozen=True)
class Way:
    """One organisation's way to the topics."""

    org: int
    client: Client
    form: Form


FORMS: list[Form] = [as_json, as_messagepack, as_cloud_event, as_cloud_event_in_messagepack]
LINES: list[Form] = [as_json_that_says_so, as_cloud_event]  # MessagePack holds line feeds
WAYS = [
    Way(org, client, form)
    for org, (client, form) in enumerate(
        [
            *((by_aiokafka, form) for form in FORMS),
            *((by_confluent, form) for form in FORMS),
            *((by_console, form) for form in LINES),
        ],
        start=1,
    )
]


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


async def send(stream: Stream, feed: Feed, messages: list[tuple[Way, Message]]) -> None:
    """Each by its own client, all of them at once."""
    clients = {way.client for way, _ in messages}
    by_client = {client: [message for way, message in messages if way.client is client] for client in clients}
    await asyncio.gather(*(client(stream, feed, own) for client, own in by_client.items()))


def misrouted(messages: list[tuple[Way, Message]], lanes: int) -> int:
    """What librdkafka puts on another lane than murmur2 does; the other clients are with us."""
    keys = [message[0] or b"" for way, message in messages if way.client is by_confluent]
    return sum(crc32(key) % lanes != home_lane(int(key), lanes) for key in keys)


async def test_one_day_by_every_client_in_every_form_makes_the_same_books(stream: Stream) -> None:
    days = [(way, a_day(way.org)) for way in WAYS]
    events = [(way, way.form(body)) for way, day in days for body in day]
    # Sent again in another form: the same events, so duplicates and not conflicts.
    again = [FORMS[(way.org + 1) % len(FORMS)](body) for way, day in days for body in day[::6]]
    refused: list[Message] = [(b"1", encoded(event(99)), [("content-type", b"text/plain")])]
    corrections = [(way, way.form(body)) for way in WAYS for body in corrections_of(way.org)]
    await send(stream, Feed.EVENTS, events)
    await by_aiokafka(stream, Feed.EVENTS, [*again, *refused])
    sent = len(events) + len(again) + len(refused)
    with stream.worker() as worker:
        await stream.wait_until_consumed(sent)
        # Only now: what restated figures weigh hangs on what is booked before.
        await send(stream, Feed.CORRECTIONS, corrections)
        await stream.wait_until_consumed(sent + len(corrections))
        assert await worker.stop() == 0
    async with stream.database() as connection:
        books = [await _books(connection, way.org) for way in WAYS]
        letters = await connection.fetch("SELECT reason, detail FROM ops.dead_letters")
        on_other_lanes = await connection.fetchval("SELECT sum(misrouted) FROM ops.lanes")
    assert len(books[0]) == 4
    assert books[0][1][-2:] == (12_345, 12_345)
    assert books[0][3][3:7] == (10, 20, 30, 40)
    assert all(other == books[0] for other in books[1:])
    assert [letter["reason"] for letter in letters] == ["malformed"]
    assert "text/plain" in letters[0]["detail"]
    assert on_other_lanes == misrouted(events, stream.lanes) + misrouted(corrections, stream.lanes) > 0
    outcomes = await stream.outcomes()
    assert outcomes == {
        "applied": len(events) + len(corrections),
        "duplicate": len(again),
        "stale": 0,
        "conflict": 0,
        "quarantined": len(refused),
    }
    report = await stream.prove()
    assert report.exit_code == 0, report
