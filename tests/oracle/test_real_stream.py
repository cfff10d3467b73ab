"""The whole proof against the real servers: true books pass, and whatever is planted in them is found."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from schemas.routing import home_lane
from tests.oracle.planting import planted
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream

ONE_BALANCE: Final = (
    "(org_id, property_id, balance_date) = (SELECT org_id, property_id, balance_date "
    "FROM finance.daily_cash_balances_partitioned WHERE cash_received_cents > 0 "
    "ORDER BY org_id, property_id, balance_date LIMIT 1)"
)
ONE_EVENT: Final = "(lane, record_offset) = (SELECT lane, record_offset FROM event_store.events LIMIT 1)"
ONE_REVENUE: Final = "(org_id, id) = (SELECT org_id, id FROM finance.revenues_partitioned ORDER BY org_id, id LIMIT 1)"
ONE_AGGREGATE: Final = (
    "(org_id, aggregate_type, aggregate_id) = (SELECT org_id, aggregate_type, aggregate_id "
    "FROM event_store.snapshots WHERE status = 'approved' LIMIT 1)"
)
OTHER_HASH: Final = r"'\x00112233445566778899aabbccddeeff'"

# What is done to the database, and the kinds in which a difference must show.
PLANTED: Final = {
    "UPDATE finance.daily_cash_balances_partitioned SET cash_received_cents = cash_received_cents + 1, "
    f"opening_balance_cents = opening_balance_cents - 1 WHERE {ONE_BALANCE}": {"balances", "realtime"},
    f"DELETE FROM finance.daily_cash_balances_partitioned WHERE {ONE_BALANCE}": {"balances"},
    f"UPDATE finance.daily_cash_balances_partitioned SET version = version + 1 WHERE {ONE_BALANCE}": {"realtime"},
    f"UPDATE finance.revenues_partitioned SET amount_cents = amount_cents + 1 WHERE {ONE_REVENUE}": {"transactions"},
    f"UPDATE finance.revenues_partitioned SET currency = 'EUR' WHERE {ONE_REVENUE}": {"transactions"},
    f"DELETE FROM finance.revenues_partitioned WHERE {ONE_REVENUE}": {"transactions"},
    f"UPDATE event_store.snapshots SET status = 'pending', contribution_cents = 0 WHERE {ONE_AGGREGATE}": {"snapshots"},
    f"UPDATE event_store.events SET event_data = event_data || '\\x20' WHERE {ONE_EVENT}": {"stored_events", "lanes"},
    "INSERT INTO event_store.events SELECT * FROM event_store.events LIMIT 1": {"stored_events", "lanes"},
    f"UPDATE event_store.snapshots SET content_hash = {OTHER_HASH} WHERE {ONE_AGGREGATE}": {"snapshots"},
    f"UPDATE event_store.snapshots SET hash_version = 9 WHERE {ONE_AGGREGATE}": {"snapshots"},
    f"UPDATE event_store.events SET content_hash = {OTHER_HASH} WHERE {ONE_EVENT}": {"stored_events", "lanes"},
    f"UPDATE event_store.events SET hash_version = 9 WHERE {ONE_EVENT}": {"stored_events", "lanes"},
    f"UPDATE event_store.events SET headers = '\\x90' WHERE {ONE_EVENT}": {"lanes"},
    f"UPDATE ops.lanes SET chain_head = {OTHER_HASH} WHERE lane = 0": {"lanes"},
    "UPDATE ops.lanes SET applied = applied - 1, stale = stale + 1 WHERE lane = 0": {"lanes"},
    "UPDATE ops.lanes SET misrouted = misrouted + 1 WHERE lane = 0": {"lanes"},
    "DELETE FROM ops.dead_letters WHERE reason = 'malformed'": {"dead_letters"},
    "UPDATE ops.dead_letters SET reason = 'schema' WHERE reason = 'malformed'": {"dead_letters"},
    "UPDATE ops.dead_letters SET record_value = '' WHERE reason = 'malformed'": {"dead_letters"},
    "UPDATE read_models.users SET display_name = 'Ravi' WHERE org_id = 1": {"users"},
    "DELETE FROM read_models.users WHERE org_id = 2": {"users"},
    "INSERT INTO read_models.users VALUES (1, 999, 'Nobody', now())": {"users"},
    "UPDATE finance.properties SET currency = 'EUR' WHERE org_id = 1 AND property_id = 1": {"properties"},
}


def messages() -> Iterator[Message]:
    """Events of some orgs and days with edits, duplicates, late versions, a conflict and poison among them."""
    now = datetime.now(UTC)
    for number in range(60):
        org, at = number % 5 + 1, now - timedelta(days=number % 4)
        key = str(org).encode()
        kind, mode = ("revenue", "expense")[number % 3 == 0], ("cash", "bank")[number % 7 == 0]
        created = encoded(event(number, kind=kind, mode=mode, org=org, at=at, status="pending"))
        approved = encoded(event(number, 3, kind=kind, mode=mode, org=org, at=at, amount=number + 1))
        late = encoded(event(number, 2, kind=kind, mode=mode, org=org, at=at, amount=5))
        yield from ((key, value) for value in (created, approved, approved, late, created))
    yield b"1", encoded(event(5, 3, org=1, amount=999_999, at=now))
    yield b"1", b"poison"
    yield b"2", encoded(event(6, 9, org=2, at=now, currency="USD"))
    yield b"2", None


RECORDS: Final = len(list(messages()))
STRAY: Final = 6  # an org whose producer has another partitioner
STRAYS: Final = [(b"6", encoded(event(number, org=STRAY, at=datetime.now(UTC)))) for number in range(1, 4)]
CONSUMED: Final = RECORDS + len(STRAYS)


async def consumed(stream: Stream) -> None:
    await stream.send(messages())
    await stream.send(STRAYS, partition=(home_lane(STRAY, stream.lanes) + 1) % stream.lanes)
    with stream.worker() as worker:
        await stream.wait_until_consumed(CONSUMED)
        await worker.stop()


async def test_true_books_pass_and_the_command_says_so(stream: Stream) -> None:
    await consumed(stream)
    text = stream.folio("verify")
    assert text.stdout.splitlines()[-1].endswith(" 0 differences"), text.stdout
    assert text.stdout.splitlines()[-1].startswith(f"reconciliation: {CONSUMED} events, ")
    assert text.returncode == 0, text.stderr
    document = json.loads(stream.folio("verify", "--output", "json").stdout)
    assert document["exit_code"] == 0
    assert {kind for kind, count in document["compared"].items() if not count} == {"corrections", "adjustments"}
    assert (document["corrections"], document["adjustments"]) == (0, 0)
    assert all(document["outcomes"].values()), "a kind of outcome was not put to the test"
    assert document["outcomes"]["misrouted"] == len(STRAYS)


async def test_whatever_is_planted_is_found(stream: Stream) -> None:
    await consumed(stream)
    found = {statement: set((await planted(stream, statement)).difference_counts) for statement in PLANTED}
    assert found == PLANTED


async def test_a_running_pipeline_does_not_disturb_the_proof(stream: Stream) -> None:
    with stream.worker() as worker:
        await stream.send(messages())
        for _ in range(3):
            async with asyncio.TaskGroup() as meanwhile:
                meanwhile.create_task(stream.send(messages()))
                await stream.wait_until_consumed(1)
                report = await stream.prove()
            assert report.exit_code == 0, report
        await stream.wait_until_consumed(4 * RECORDS)
        await worker.stop()
    assert (await stream.prove()).events == 4 * RECORDS


async def test_without_anything_consumed_nothing_is_proved(stream: Stream) -> None:
    report = await stream.prove()
    assert report.exit_code == 2
    assert report.unproven == "nothing was consumed yet"
    assert stream.folio("verify").returncode == 2


async def test_without_the_records_nothing_is_proved(stream: Stream) -> None:
    await consumed(stream)
    lane = home_lane(1, stream.lanes)
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(stream.topic, lane): RecordsToDelete(before_offset=3)})
    await admin.close()
    report = await stream.prove()
    assert report.exit_code == 2
    assert report.unproven is not None
    assert report.unproven.startswith(f"finance-events, lane {lane}: 3 of ")


async def test_what_the_database_rejected_is_taken_on_trust_and_said(stream: Stream) -> None:
    async with stream.database() as connection:
        await connection.execute(
            "ALTER TABLE finance.revenues_partitioned ADD CONSTRAINT no_spa CHECK (category IS DISTINCT FROM 'spa')"
        )
    now = datetime.now(UTC)
    await stream.send(
        (b"1", encoded(event(number, at=now, category=("room", "spa")[number == 2]))) for number in range(1, 5)
    )
    with stream.worker() as worker:
        await stream.wait_until_consumed(4)
        await worker.stop()
    text = stream.folio("verify")
    assert "taken on trust: 1 record that the database rejected" in text.stdout
    assert text.stdout.splitlines()[-1].endswith(" 0 differences; 1 record taken on trust"), text.stdout
    assert text.returncode == 0, text.stderr
    document = json.loads(stream.folio("verify", "--output", "json").stdout)
    assert (document["exit_code"], document["taken_on_trust"]) == (0, 1)
