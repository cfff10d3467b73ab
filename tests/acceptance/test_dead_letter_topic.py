"""Dead letters in their topic: every one that the table has, as its record came, with the reason beside it."""

import signal
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.oracle.topics import connected
from schemas.routing import home_lane
from schemas.topics import DEAD_LETTERS, Feed
from tests.support.events import correction, encoded, event
from tests.support.raw_batches import record_batch, send_batch
from tests.support.stream import Message, Stream

MIB = 1 << 20


async def exported(stream: Stream) -> list[Any]:
    """Every record of the topic of dead letters, as a client of another group reads them."""
    topic = stream.prefix + DEAD_LETTERS
    async with connected(stream.endpoints.kafka_bootstrap, stream.prefix) as topics:
        held = await topics.extent(DEAD_LETTERS)
    ends = {TopicPartition(topic, lane): span.end for lane, span in held.items() if span.end}
    if not ends:
        return []
    consumer = AIOKafkaConsumer(bootstrap_servers=stream.endpoints.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(list(ends))
        found: list[Any] = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
    finally:
        await consumer.stop()
    return found


async def narrow(stream: Stream, message_bytes_max: int) -> None:
    """Set the topic's own bound on a record, as an operator could."""
    config = {"max.message.bytes": str(message_bytes_max)}
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, stream.prefix + DEAD_LETTERS, config)
        await admin.alter_configs([resource])
    finally:
        await admin.close()


def place_of(record: Any) -> tuple[str, int, int]:
    headers = dict(record.headers)
    topic, lane, offset = (headers[f"folio-{name}"].decode() for name in ("topic", "partition", "offset"))
    return topic, int(lane), int(offset)


async def in_the_table(stream: Stream) -> dict[tuple[str, int, int], tuple[str, str]]:
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT topic, lane, record_offset, reason, detail FROM ops.dead_letters")
    return {(row["topic"], row["lane"], row["record_offset"]): (row["reason"], row["detail"]) for row in rows}


def reason_of(record: Any) -> tuple[str, str]:
    headers = dict(record.headers)
    return headers["folio-reason"].decode(), headers["folio-detail"].decode()


async def test_each_letter_is_in_the_topic_as_its_record_came(stream: Stream) -> None:
    sent: Sequence[Message] = [
        (b"1", encoded(event(1)) + b"}", [("trace", b"one"), ("folio-reason", b"somebody else's")]),
        (b"1", None),
        (None, encoded(event(2, amount=0))),
        (b"1", encoded(event(3))),
        (b"1", encoded(event(3, amount=5))),
    ]
    await stream.send(sent)
    await stream.send([(b"1", b"no correction"), (b"1", encoded(correction(declared=5)))], feed=Feed.CORRECTIONS)
    with stream.worker() as worker:
        await stream.wait_until_consumed(7)
        assert await worker.stop() == 0
    found = {place_of(record): record for record in await exported(stream)}
    assert {place: reason_of(record) for place, record in found.items()} == await in_the_table(stream)
    assert len(found) == 5
    home = home_lane(1, stream.lanes)
    first = found[stream.topic, home, 0]
    assert (first.partition, first.key, first.value) == (home, b"1", sent[0][1])
    assert ("trace", b"one") in first.headers
    assert [name for name, _ in first.headers].count("folio-reason") == 1
    assert (found[stream.topic, home, 1].key, found[stream.topic, home, 1].value) == (b"1", None)


async def test_letters_that_no_client_could_send(stream: Stream) -> None:
    """Neither key nor value, a name that is no text, and a record with no room for our headers: none holds the rest."""
    lane = home_lane(1, stream.lanes)
    whole = b"x" * (MIB - 200)
    messages = [
        (None, None, []),
        (b"1", b"{", [(b"tr\xffce", b"\x00")]),
        (b"1", encoded(event(1)), []),
    ]
    batch = record_batch(messages, codec="none", first_ms=int(time.time() * 1000))
    await send_batch(stream.endpoints.kafka_bootstrap, stream.topic, lane, batch)
    largest = record_batch([(b"1", whole, [])], codec="none", first_ms=int(time.time() * 1000))
    await send_batch(stream.endpoints.kafka_bootstrap, stream.topic, lane, largest)
    with stream.worker() as worker:
        await stream.wait_until_consumed(4)
        assert await worker.stop() == 0
    nothing, odd, large = await exported(stream)
    assert (nothing.key, nothing.value, reason_of(nothing)[0]) == (None, b"", "empty")
    assert ("tr\\xffce", b"\x00") in odd.headers
    assert (large.value, reason_of(large)[0]) == (whole, "too_large")


async def test_a_topic_with_less_room_gets_the_letter_without_its_record(stream: Stream) -> None:
    await narrow(stream, 10_000)
    await stream.send([(b"1", b"[" * 20_000), (b"1", b"["), (b"1", encoded(event(1)))])
    with stream.worker() as worker:
        await stream.wait_until_consumed(3)
        assert await worker.stop() == 0
    by_offset = {place_of(record)[2]: record for record in await exported(stream)}
    assert dict(by_offset[0].headers)["folio-value-omitted-bytes"] == b"20000"
    assert (by_offset[0].key, by_offset[0].value) == (None, b"")
    assert by_offset[1].value == b"["


async def test_a_letter_that_the_broker_refuses_holds_back_none_behind_it(stream: Stream) -> None:
    """The refused one comes after one that was taken: the broker counts what a client with retries sends it."""
    await narrow(stream, MIB)
    lane = home_lane(1, stream.lanes)
    await stream.send([(b"1", b"[")])
    packed = record_batch([(b"1", b"x" * (MIB + MIB // 2), [])], codec="gzip", first_ms=int(time.time() * 1000))
    await send_batch(stream.endpoints.kafka_bootstrap, stream.topic, lane, packed)
    await stream.send([(b"1", b"["), (b"1", encoded(event(1)))])
    with stream.worker() as worker:
        await stream.wait_until_consumed(4, seconds=20)
        assert await worker.stop() == 0
    found = [(place_of(record)[2], len(record.value)) for record in await exported(stream)]
    assert sorted(found) == [(0, 1), (1, 0), (2, 1)]


async def test_a_worker_killed_before_its_letters_are_marked_leaves_them_to_the_next(stream: Stream) -> None:
    await stream.send([(b"1", b"poison"), (b"1", encoded(event(1)))])
    with stream.worker(WORKER_CRASH_AT="published") as killed:  # the updates are out, the letters are not
        assert await killed.wait() == -signal.SIGKILL
    assert await exported(stream) == []
    with stream.worker(KAFKA_GROUP=f"{stream.prefix}successor") as successor:
        await stream.wait_until_consumed(2)
        assert await successor.stop() == 0
    (letter,) = await exported(stream)
    assert letter.value == b"poison"
    assert {place_of(letter): reason_of(letter)} == await in_the_table(stream)
