"""SIGKILL at every named point of a batch: the next worker brings the books to the same cent."""

import signal
from datetime import timedelta
from typing import Any

import pytest

from pipeline.crash import POINTS
from tests.support.events import NOON, encoded, event
from tests.support.stream import Message, Stream


def history(transactions: int) -> list[Message]:
    """Creations over ten days, then approvals, edits and deletions of them, a duplicate, a conflict and poison."""
    events = []
    for number in range(1, transactions + 1):
        place: dict[str, Any] = {
            "org": 1 + number % 7,
            "property_": 1 + number % 2,
            "kind": "expense" if number % 3 == 0 else "revenue",
            "mode": "bank" if number % 4 == 0 else "cash",
            "at": NOON - timedelta(days=number % 10),
        }
        first = event(number, 1, status="pending", amount=100 + number, **place)
        events += [first, event(number, 2, verb="approved", amount=100 + number, **place)]
        if number % 5 == 0:
            events.append(event(number, 3, amount=1_000 + number, **place))
        if number % 6 == 0:
            events.append(event(number, 4, status="deleted", amount=100 + number, **place))
        if number % 11 == 0:
            events.append(first)
    messages: list[Message] = [(str(body["org_id"]).encode(), encoded(body)) for body in events]
    for index in (0, len(messages) // 2, len(messages)):
        messages.insert(index, (b"1", b'{"poison'))
    messages.append((b"2", encoded(event(1, 2, org=2, amount=999_999))))
    return messages


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_killed_there_loses_and_doubles_nothing(stream: Stream, point: str) -> None:
    messages = history(60)
    await stream.send(messages)
    # The second time: the first batch is behind it, and the books are not empty.
    with stream.worker(WORKER_CRASH_AT=f"{point}:2", BATCH_ROWS_MAX="40") as killed:
        assert await killed.wait() == -signal.SIGKILL
        assert f"crash point reached: {point}" in killed.log
    # Another group, so that the test need not wait for the broker to miss the killed one; the fence is the database's.
    with stream.worker(KAFKA_GROUP=f"{stream.prefix}successor") as successor:
        await stream.wait_until_consumed(len(messages))
        assert await successor.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == len(messages)
    outcomes = await stream.outcomes()
    assert outcomes["quarantined"] == 3
    assert outcomes["conflict"] + outcomes["stale"] >= 1
