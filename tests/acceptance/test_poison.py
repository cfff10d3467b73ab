"""Poison never stops the stream: each bad record is kept with its reason, and its neighbours go on."""

from tests.support.events import encoded, event
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
