"""Poison never stops the stream: each bad record is kept with its reason, and its neighbours go on."""

import time

import msgspec

from schemas.routing import home_lane
from tests.support.events import encoded, event
from tests.support.raw_batches import RawMessage, record_batch, send_batch
from tests.support.stream import Message, Stream

POISON: dict[str, bytes | None] = {
    "empty": None,
    "malformed": b"\xff\xfe not json",
    "too_large": b" " * (256 * 1024 + 1),
    "schema": encoded(event(900, amount=0)),
    "text": encoded(event(901, description="nul \x00 byte")),
    "status_mismatch": encoded(event(902, verb="approved", status="pending")),
    "time_out_of_bounds": encoded(event(903) | {"occurred_at": "1999-01-01T00:00:00Z"}),
    "currency_mismatch": encoded(event(904, currency="USD")),
    "version_conflict": encoded(event(1, amount=777)),
}


async def test_each_reason_is_recorded_and_the_neighbours_go_on(stream: Stream) -> None:
    messages: list[Message] = [(b"1", encoded(event(1)))]
    for number, value in enumerate(POISON.values(), start=2):
        messages += [(b"1", value), (b"1", encoded(event(number)))]
    await stream.send(messages)
    with stream.worker() as worker:
        await stream.wait_until_consumed(len(messages))
        assert await worker.stop() == 0
    async with stream.database() as connection:
        letters = await connection.fetch("SELECT reason, record_value FROM ops.dead_letters ORDER BY record_offset")
        balance = await connection.fetchval(
            "SELECT cash_received_cents FROM finance.daily_cash_balances_partitioned WHERE org_id = 1"
        )
    assert [(letter["reason"], letter["record_value"]) for letter in letters] == list(POISON.items())
    assert balance == 100 * (1 + len(POISON))
    outcomes = await stream.outcomes()
    assert outcomes == {
        "applied": 1 + len(POISON),
        "duplicate": 0,
        "stale": 0,
        "conflict": 1,
        "quarantined": len(POISON) - 1,
    }
    report = await stream.prove()
    assert report.exit_code == 0, report


async def test_headers_of_any_kind_keep_no_record_back(stream: Stream) -> None:
    """Names that are not UTF-8, which no client of ours can send or read; names without a value."""
    odd = b"tr\xff\xfece"
    messages: list[RawMessage] = [
        (b"1", encoded(event(1)), []),
        (b"1", encoded(event(2)), [(b"trace", b"ok"), (odd, b"\x00\x01")]),
        (b"1", encoded(event(3)), [(b"trace", None), ("größe".encode(), b"")]),
        (b"1", encoded(event(4)), [(b"", b"")]),
    ]
    lane = home_lane(1, stream.lanes)
    batch = record_batch(messages, codec="lz4", first_ms=int(time.time() * 1000))
    await send_batch(stream.endpoints.kafka_bootstrap, stream.topic, lane, batch)
    await stream.send([(b"1", encoded(event(5)))])
    with stream.worker() as worker:
        await stream.wait_until_consumed(5)
        assert await worker.stop() == 0
    async with stream.database() as connection:
        letters = await connection.fetch("SELECT reason, record_value, headers FROM ops.dead_letters")
        stored = await connection.fetch("SELECT aggregate_id, headers FROM event_store.events ORDER BY aggregate_id")
    assert [(letter["reason"], letter["record_value"]) for letter in letters] == [("malformed", messages[1][1])]
    assert msgspec.msgpack.decode(letters[0]["headers"]) == [["trace", b"ok"], [odd, b"\x00\x01"]]
    assert [row["aggregate_id"] for row in stored] == [1, 3, 4, 5]
    assert msgspec.msgpack.decode(stored[1]["headers"]) == [["trace", None], ["größe", b""]]
    report = await stream.prove()
    assert report.exit_code == 0, report
