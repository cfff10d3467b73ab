"""A worker as it is run: events in, exact books and updates out."""

from tests.support.events import encoded, event
from tests.support.stream import Stream


async def test_events_become_balances(stream: Stream) -> None:
    await stream.send([(b"1", encoded(event(number, amount=100))) for number in range(1, 11)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(10)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert (await stream.outcomes())["applied"] == 10
