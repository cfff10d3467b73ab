"""A month that is made while the stream writes into the default partition: no event is taken for poison."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.events import encoded, event
from tests.support.stream import Stream


@pytest.mark.parametrize("table", ["event_store.events", "finance.revenues"])
async def test_an_event_that_waits_for_a_month_is_applied_once_it_is_there(stream: Stream, table: str) -> None:
    now = datetime.now(UTC)
    async with stream.database() as operator, stream.database() as onlooker:
        await operator.execute(f"DROP TABLE {table}_{now:%Y_%m}")  # as when months were not made for long
        with stream.worker() as worker:
            await stream.send([(b"1", encoded(event(1, at=now)))])
            await stream.wait_until_consumed(1)
            async with operator.transaction():
                await operator.execute("SELECT ops.ensure_months($1, 24, 3)", now.date())
                await stream.send([(b"1", encoded(event(2, at=now)))])
                async with asyncio.timeout(20):
                    while not await onlooker.fetchval(_WAITING):
                        await asyncio.sleep(0.05)
            await stream.wait_until_consumed(2)
            assert await worker.stop() == 0
    assert await stream.outcomes() == {"applied": 2, "duplicate": 0, "stale": 0, "conflict": 0, "quarantined": 0}
    report = await stream.prove()
    assert report.exit_code == 0, report


_WAITING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%INSERT%'"
)
