"""Rows that no link covers, wherever they were put; and the login that docs/security.md names for the command."""

import itertools
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import pytest_asyncio

from pipeline.settings import DatabaseSettings
from pipeline.tamper.verifying import verify_chain
from schemas.chain import EVENT_COLUMNS
from schemas.topics import CHAIN_HEADS
from tests.support.stream import Stream
from tests.tamper.test_verify_chain import AS_OWNER_WHO_BYPASSES, ONE, filled, verdict_of

_numbers = itertools.count(1)


def another_event(**columns: str) -> str:
    """A copy of one event, as another transaction, with some columns of its own."""
    own = {"aggregate_id": "aggregate_id + 5000", "record_offset": "record_offset + 100000"} | columns
    names, values = ", ".join(EVENT_COLUMNS), ", ".join(own.get(name, name) for name in EVENT_COLUMNS)
    return f"INSERT INTO event_store.events ({names}) SELECT {values} FROM event_store.events WHERE {ONE}"


FORGED_COUNT = """
    INSERT INTO ops.balance_corrections (org_id, correction_id, property_id, balance_date, kind, declared_closing_cents,
        hash_version, content_hash, lane, record_offset, finance_position, appended_at, recorded_at, issued_at,
        recorded_by_user_id, reason, correction_data, headers)
    SELECT org_id, gen_random_uuid(), property_id, balance_date, 'declared_closing', 123456789, 1, content_hash, {lane},
        77, 5, now(), now(), now(), 1, 'forged', '\\x00', NULL
    FROM event_store.events LIMIT 1
"""


@pytest_asyncio.fixture
async def operator_url(stream: Stream) -> AsyncIterator[str]:
    """The stream's database by a login that is an operator, and nothing else."""
    name = f"test_operator_{os.getpid()}_{next(_numbers)}"
    async with stream.database() as connection:
        await connection.execute(f"CREATE ROLE {name} LOGIN IN ROLE folio_operator")
    parts = urlsplit(stream.endpoints.database_url)
    yield urlunsplit(parts._replace(netloc=f"{name}@"))
    async with stream.database() as connection:
        await connection.execute(f"DROP ROLE {name}")


async def test_a_row_without_a_link_is_found_wherever_it_is(stream: Stream, operator_url: str) -> None:
    await filled(stream)
    assert (await verdict_of(stream)).findings == []
    verdict = await verify_chain(
        operator_url,
        DatabaseSettings(),
        stream.endpoints.kafka_bootstrap,
        stream.prefix + CHAIN_HEADS,
        lane=None,
        since_seq=1,
        progress=lambda _events: None,
    )
    assert (verdict.events, verdict.findings) == ((await verdict_of(stream)).events, [])
    async with stream.database() as connection:
        await connection.execute(AS_OWNER_WHO_BYPASSES)
        undo = "DELETE FROM event_store.events WHERE aggregate_id > 5000; DELETE FROM ops.balance_corrections"
        for forging, told in {
            another_event(lane="99::smallint"): "an event of a lane that is not there",
            another_event(recorded_at="recorded_at - interval '1 hour'"): "an event that no link covers",
            FORGED_COUNT.format(lane="lane"): "a correction that no link covers",
            FORGED_COUNT.format(lane="99"): "a correction of a lane that is not there",
        }.items():
            await connection.execute(forging)
            assert [finding.what for finding in (await verdict_of(stream)).findings] == [told]
            await connection.execute(undo)
