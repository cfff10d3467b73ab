"""A run against real books: what the broker took is remembered, what it did not is tried again, nothing goes round."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka.errors import MessageSizeTooLargeError

import sql
from pipeline.dead_letters.letters import Filters, Place
from pipeline.dead_letters.planning import Policy
from pipeline.dead_letters.redriving import PAGE_ROWS_MAX, Tally, alone, redrive, would_redrive
from pipeline.errors import BrokerUnavailable
from schemas.codec import Rules
from schemas.headers import packed_headers
from schemas.records import Headers
from schemas.topics import FINANCE_EVENTS, Feed
from tests.support.events import encoded, event

NOW = datetime.now(UTC)
POLICY = Policy(Rules(timedelta(days=30), timedelta(hours=1)), {FINANCE_EVENTS: Feed.EVENTS}, attempts_max=3)
ALL = Filters()


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connected = await asyncpg.connect(database)
    try:
        yield connected
    finally:
        await connected.close()


async def put(connection: asyncpg.Connection, offset: int, headers: Headers = (), key: bytes | None = b"1") -> None:
    """A letter that the rules accept."""
    body = encoded(event(offset + 1, at=NOW))
    await connection.execute(
        sql.query("append_dead_letters"),
        *(FINANCE_EVENTS, 0, offset, "time_out_of_bounds", "x", NOW, NOW, key, body, packed_headers(headers), None),
    )


class Broker:
    """A producer's `send`, with offsets from 1000 on; the records of `refused` it does not take."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refused: set[bytes] = set()

    async def send(self, topic: str, /, **record: Any) -> "asyncio.Future[Any]":
        assert topic == FINANCE_EVENTS
        if dict(record["headers"])["folio-redriven-from"] in self.refused:
            raise MessageSizeTooLargeError
        self.sent.append(record)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(partition=0, offset=999 + len(self.sent)))
        return future


class EagerWorker(Broker):
    """A broker whose worker refuses every record again before the next page is read."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__()
        self._connection = connection

    async def send(self, topic: str, /, **record: Any) -> "asyncio.Future[Any]":
        future = await super().send(topic, **record)
        await put(self._connection, future.result().offset, tuple(record["headers"]))
        return future


async def run(connection: asyncpg.Connection, broker: Broker, letters_max: int | None = None) -> Tally:
    tally = Tally()
    await redrive(connection, broker, ALL, POLICY, letters_max, "me", tally)
    return tally


async def remembered(connection: asyncpg.Connection) -> list[tuple[int, int]]:
    rows = await connection.fetch("SELECT record_offset, new_offset FROM ops.dead_letter_redrives ORDER BY 1")
    return [tuple(row) for row in rows]


async def test_what_fails_again_during_the_run_waits_for_the_next(connection: asyncpg.Connection) -> None:
    await put(connection, 0)
    worker = EagerWorker(connection)
    for attempt in (1, 2, 3):
        assert (await run(connection, worker)).going == 1
        assert len(worker.sent) == attempt
    assert (await run(connection, worker)).going == 0


async def test_what_the_broker_took_is_remembered_although_its_neighbour_was_refused(
    connection: asyncpg.Connection,
) -> None:
    for offset in range(3):
        await put(connection, offset)
    broker = Broker()
    broker.refused = {str(Place(FINANCE_EVENTS, 0, 1)).encode()}
    with pytest.raises(BrokerUnavailable, match=f"{FINANCE_EVENTS}/0/1"):
        await run(connection, broker)
    assert await remembered(connection) == [(0, 1000), (2, 1001)]
    broker.refused.clear()
    assert (await run(connection, broker)).going == 1
    assert await remembered(connection) == [(0, 1000), (1, 1002), (2, 1001)]


async def test_every_page_is_read_and_no_more_than_the_maximum_is_sent(connection: asyncpg.Connection) -> None:
    for offset in range(PAGE_ROWS_MAX + 5):
        await put(connection, offset)
    assert (await would_redrive(connection, ALL, POLICY, None)).going == PAGE_ROWS_MAX + 5
    broker = Broker()
    some = await run(connection, broker, letters_max=PAGE_ROWS_MAX + 2)
    assert (some.going, some.stopped_at_max) == (PAGE_ROWS_MAX + 2, True)
    rest = await run(connection, broker, letters_max=3)
    assert (rest.going, rest.stopped_at_max) == (3, False)
    assert len(broker.sent) == PAGE_ROWS_MAX + 5


async def test_a_record_without_a_key_goes_back_to_its_lane(connection: asyncpg.Connection) -> None:
    await put(connection, 0, key=None)
    await put(connection, 1)
    broker = Broker()
    await run(connection, broker)
    assert [record["partition"] for record in broker.sent] == [0, None]


async def test_one_redrive_at_a_time(connection: asyncpg.Connection, database: str) -> None:
    other = await asyncpg.connect(database)
    try:
        async with alone(connection) as first, alone(other) as second:
            assert (first, second) == (True, False)
        async with alone(other) as third:
            assert third
    finally:
        await other.close()
