"""A hub on the real topic, while a worker writes the books: what a subscriber ends with is what SQL says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition

import sql
from pipeline.errors import TopicMismatch
from pipeline.realtime import gateway
from pipeline.realtime.cursor import Cursor
from pipeline.realtime.feed import Feed, Source
from pipeline.realtime.hub import Hub, bounds_of
from pipeline.realtime.messages import CloseReason, Delivery, Filters, Refusal, Resync, ResyncReason
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.realtime.subscription import Subscriber, Subscription
from pipeline.settings_serving import RealtimeSettings
from schemas.topics import REALTIME_UPDATES
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream
from tests.support.waiting import until

ORG = 3
Balances = dict[tuple[int, date], tuple[int, int]]  # version and closing


def events(first: int, count: int) -> list[Message]:
    """Revenues of two organisations at three properties."""
    numbers = range(first, first + count)
    return [(b"%d" % org, encoded(event(n, org=org, property_=n % 3 + 1))) for n in numbers for org in (ORG, ORG + 1)]


async def in_books(connection: asyncpg.Connection) -> tuple[str, Balances]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        epoch = await connection.fetchval(sql.query("cluster_epoch"))
        rows = await connection.fetch(
            "SELECT property_id, balance_date, version, closing_balance_cents "
            "FROM finance.daily_cash_balances_partitioned WHERE org_id = $1",
            ORG,
        )
    return epoch, {(row[0], row[1]): (row[2], row[3]) for row in rows}


class Reader:
    """A subscriber of the protocol: subscribes, reads a snapshot, and takes what comes, slowly."""

    def __init__(self, hub: Hub, connection: asyncpg.Connection, pause: float = 0.0) -> None:
        self.hub = hub
        self.connection = connection
        self.pause = pause
        self.balances: Balances = {}
        self.cursor: Cursor | None = None
        self.resyncs: list[ResyncReason] = []
        self.joined: Subscription | None = None

    async def run(self) -> None:
        self.join()
        joined = self.joined
        assert joined is not None
        try:
            if self.cursor is None:
                await self.read_snapshot(joined)
            while joined.closed is None:
                await joined.wait()
                message = joined.take()
                if isinstance(message, Resync):
                    self.resyncs.append(message.reason)
                    await self.read_snapshot(joined)
                elif isinstance(message, Delivery):
                    self.apply(message)
                    self.cursor = joined.cursor()
                    await asyncio.sleep(self.pause)
        finally:
            joined.close(CloseReason.LEFT)

    def join(self) -> None:
        answer = self.hub.subscribe(Subscriber(ORG, "asha"), Filters(), self.cursor)
        assert not isinstance(answer, Refusal), answer
        self.joined = answer

    async def read_snapshot(self, joined: Subscription) -> None:
        epoch, balances = await in_books(self.connection)
        await asyncio.sleep(self.pause)
        assert joined.note(epoch, {key: version for key, (version, _) in balances.items()})
        self.balances = balances
        self.cursor = joined.cursor()

    def apply(self, message: Delivery) -> None:
        change, key = message.entry.update, message.entry.key
        held = self.balances.get(key, (0, 0))[0]
        assert (message.previous_version or 0) <= held
        if change.version > held:
            self.balances[key] = (change.version, change.closing_balance_cents)


def new_hub(stream: Stream) -> tuple[Hub, RealtimeMetrics]:
    metrics = RealtimeMetrics()
    return Hub(stream.prefix + REALTIME_UPDATES, *bounds_of(RealtimeSettings()), metrics), metrics


def new_feed(stream: Stream, hub: Hub, metrics: RealtimeMetrics, topic: str = REALTIME_UPDATES) -> Feed:
    source = Source(stream.endpoints.kafka_bootstrap, stream.prefix + topic, 1 << 20, stall_seconds=15)
    return Feed(source, hub, metrics)


@asynccontextmanager
async def running(feed: Feed, receiver: Hub) -> AsyncIterator[None]:
    """The feed runs within the block, from when it has caught up."""
    task = asyncio.create_task(feed.run())
    try:
        await until(lambda: _says((feed.connected and receiver.ready) or task.done()), 30)
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _says(condition: bool) -> bool:
    return condition


async def test_subscribers_end_with_what_the_books_say_whatever_becomes_of_the_feed(stream: Stream) -> None:
    hub, metrics = new_hub(stream)
    sent = 0

    async def send(count: int) -> None:
        nonlocal sent
        await stream.send(events(sent + 1, count))
        sent += count

    async with stream.database() as one, stream.database() as other, asyncio.TaskGroup() as tasks:
        quick, slow = Reader(hub, one), Reader(hub, other, pause=0.05)
        with stream.worker(BATCH_ROWS_MAX="7", BATCH_LINGER_MS="5") as worker:
            async with running(new_feed(stream, hub, metrics), hub):
                await send(30)
                running_readers = [tasks.create_task(reader.run()) for reader in (quick, slow)]
                await send(30)
                await until(lambda: _says(bool(quick.cursor and slow.balances)), 30)
            await send(30)
            await stream.wait_until_consumed(2 * sent)
            assert quick.joined is not None
            # It leaves while no feed runs, and comes back with its cursor.
            running_readers[0].cancel()
            async with running(new_feed(stream, hub, metrics), hub):
                tasks.create_task(quick.run())
                await send(30)
                await stream.wait_until_consumed(2 * sent)
                epoch, books = await in_books(one)
                assert sum(closing for _, closing in books.values()) == 100 * sent
                await until(lambda: _says(quick.balances == slow.balances == books), 30)
            assert await worker.stop() == 0
        hub.drain()
    assert (quick.resyncs, slow.resyncs) == ([], [])
    assert quick.cursor is not None
    assert quick.cursor.epoch == epoch
    conflated = metrics.registry.get_sample_value("folio_realtime_conflated_total")
    assert conflated, "the slow one was never behind"
    ends = await _ends(stream)
    assert hub.positions() == ends
    assert metrics.registry.get_sample_value("folio_realtime_unreadable_total") == 0


async def _ends(stream: Stream) -> dict[int, int]:
    hub, metrics = new_hub(stream)
    async with running(new_feed(stream, hub, metrics), hub):
        return hub.positions()


async def test_updates_that_left_the_topic_before_they_were_read_make_everybody_begin_anew(stream: Stream) -> None:
    hub, metrics = new_hub(stream)
    async with running(new_feed(stream, hub, metrics), hub):
        before = hub.positions()
    answer = hub.subscribe(Subscriber(ORG, "asha"), Filters())
    assert not isinstance(answer, Refusal)
    await stream.send(events(1, 20))
    with stream.worker() as worker:
        await stream.wait_until_consumed(40)
        assert await worker.stop() == 0
    ends = await _ends(stream)
    assert ends != before
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    try:
        topic = stream.prefix + REALTIME_UPDATES
        await admin.delete_records(
            {TopicPartition(topic, number): RecordsToDelete(before_offset=end) for number, end in ends.items() if end}
        )
    finally:
        await admin.close()
    async with running(new_feed(stream, hub, metrics), hub):
        assert answer.take() == Resync(ResyncReason.TOPIC_LOST)
        assert hub.positions() == ends


async def test_what_is_no_update_is_passed_over(stream: Stream) -> None:
    hub, metrics = new_hub(stream)
    async with running(new_feed(stream, hub, metrics), hub):
        await _send_raw(stream, b"no update")
        await until(lambda: _says(hub.positions()[0] == 1), 30)
    assert metrics.registry.get_sample_value("folio_realtime_unreadable_total") == 1


async def _send_raw(stream: Stream, value: bytes) -> None:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(stream.prefix + REALTIME_UPDATES, value, partition=0)
    finally:
        await producer.stop()


async def test_a_feed_without_a_topic_says_so(stream: Stream) -> None:
    hub, metrics = new_hub(stream)
    with pytest.raises(TopicMismatch):
        await asyncio.wait_for(new_feed(stream, hub, metrics, "no-such-topic").run(), 30)


async def test_a_gateway_that_ends_sends_everybody_away(stream: Stream) -> None:
    hub, metrics = new_hub(stream)
    task = asyncio.create_task(gateway.run(new_feed(stream, hub, metrics), hub))
    await until(lambda: _says(hub.ready), 30)
    answer = hub.subscribe(Subscriber(ORG, "asha"), Filters())
    assert not isinstance(answer, Refusal)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert answer.closed is CloseReason.DRAINING
    assert hub.subscribe(Subscriber(ORG, "asha"), Filters()) is Refusal.DRAINING
