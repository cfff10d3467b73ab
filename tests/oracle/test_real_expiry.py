"""A realtime topic of which the oldest records are gone: what must still be in it is asked for, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from pipeline.oracle import expiry
from schemas.routing import home_lane
from schemas.topics import REALTIME_UPDATES
from tests.oracle.planting import planted
from tests.support.events import encoded, event
from tests.support.stream import Stream

ORG, NEIGHBOUR, *_ = (org for org in range(1, 100) if home_lane(org, 2) == 0)
STRANGER = next(org for org in range(1, 100) if home_lane(org, 2) == 1)
# Three days before now, so that no event is of the future.
FIRST = datetime.now(UTC) - timedelta(days=3)


async def consumed(stream: Stream) -> None:
    """Balances of three orgs, each told in a batch of its own."""
    with stream.worker() as worker:
        for number, org in enumerate((ORG, NEIGHBOUR, STRANGER), start=1):
            await stream.send([(b"%d" % org, encoded(event(number, org=org, at=FIRST)))])
            await stream.wait_until_consumed(number)
        assert await worker.stop() == 0


async def expire_first(stream: Stream) -> None:
    """The update of ORG leaves the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    partition = TopicPartition(stream.prefix + REALTIME_UPDATES, 0)
    await admin.delete_records({partition: RecordsToDelete(before_offset=1)})
    await admin.close()


def untold_day(org: int, updated_at: str) -> str:
    """A statement: the day after the org's first, right as such, and never published."""
    return (
        "INSERT INTO finance.daily_cash_balances_partitioned SELECT org_id, property_id, balance_date + 1, 1, "
        "closing_balance_cents, 0, 0, 0, 0, closing_balance_cents, NULL, closing_balance_cents, 0, NULL, "
        f"{updated_at} FROM finance.daily_cash_balances_partitioned WHERE org_id = {org}"
    )


async def test_what_cannot_have_expired_is_asked_for(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "MARGIN", timedelta(0))  # the test does not take so long
    await consumed(stream)
    await expire_first(stream)
    true_books = await stream.prove()
    assert (true_books.exit_code, true_books.balances_not_compared) == (0, 1), true_books

    changed_since = await planted(stream, untold_day(ORG, "now()"))
    assert changed_since.difference_counts == {"realtime": 1}
    changed_before = await planted(stream, untold_day(ORG, "updated_at"))
    assert (changed_before.exit_code, changed_before.balances_not_compared) == (0, 2), changed_before


async def test_what_a_partition_lost_excuses_nobody_else(stream: Stream) -> None:
    await consumed(stream)
    await expire_first(stream)
    stranger = await planted(stream, untold_day(STRANGER, "updated_at"))
    assert stranger.difference_counts == {"realtime": 1}
    assert (await planted(stream, untold_day(ORG, "now()"))).exit_code == 0, "too near to the start to be sure"
