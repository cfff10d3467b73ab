"""Input that is made to hurt: what it costs is bounded."""

from datetime import timedelta

from tests.support.events import NOON, encoded, event
from tests.support.stream import Message, Stream


async def test_late_events_that_reach_too_many_days_go_in_smaller_batches(stream: Stream) -> None:
    # The ids of a transaction are the organisation's: three properties, three ranges.
    a_month: list[Message] = [
        (b"1", encoded(event(1 + 30 * property_ + day, property_=property_, at=NOON + timedelta(days=day))))
        for property_ in (1, 2, 3)
        for day in range(30)
    ]
    late: list[Message] = [
        (b"1", encoded(event(1_000 + n, property_=1 + n % 3, at=NOON - timedelta(days=1 + n)))) for n in range(9)
    ]
    with stream.worker(BATCH_REACHED_DAYS_MAX="50", BATCH_LINGER_MS="300") as worker:
        await stream.send(a_month)
        await stream.wait_until_consumed(len(a_month))
        await stream.send(late)
        await stream.wait_until_consumed(len(a_month) + len(late))
        assert "reaches more than 50 days" in worker.log
        assert await worker.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
