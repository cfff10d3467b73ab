"""What is sent arrives: all of it, in order per key, where every Kafka client would have put it."""

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.errors import BrokerUnavailable, TopicMismatch
from pipeline.simulator.day import trading_day
from pipeline.simulator.plan import Message, Plan
from pipeline.simulator.producing import Produced, next_id_base, produce_day, trickle
from pipeline.simulator.sender import PATIENCE_SECONDS, Sender, partition_of
from pipeline.stack import Endpoints
from schemas.codec import RECORD_BYTES_MAX, Rules, judge
from schemas.records import Origin, Rejected
from schemas.topics import Feed

# Not a power of two, which would hide the difference between signed and unsigned hashes.
PARTITIONS = 5


async def create_topic(bootstrap: str, name: str | None = None) -> str:
    name = name or f"simulated-{uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        config = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=config)])
        # The broker knows of it a moment after the controller has answered.
        while name not in await admin.list_topics():
            await asyncio.sleep(0.02)
    finally:
        await admin.close()
    return name


async def records_of(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Every record of the topic, in offset order within each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        left = sum((await consumer.end_offsets(partitions)).values())
        consumer.assign(partitions)
        records: list[ConsumerRecord] = []
        while len(records) < left:
            for found in (await consumer.getmany(timeout_ms=500)).values():
                records += found
        return records
    finally:
        await consumer.stop()


@pytest.fixture
async def topic(stack: Endpoints) -> str:
    return await create_topic(stack.kafka_bootstrap)


async def test_a_day_arrives_whole_and_in_order_per_key(stack: Endpoints, topic: str) -> None:
    plan = Plan(date(2025, 11, 22), events=20_000, poison_share=0.005, correction_share=0.05)
    topics = {Feed.EVENTS: topic, Feed.CORRECTIONS: await create_topic(stack.kafka_bootstrap)}
    told: list[int] = []
    produced = await produce_day(stack.kafka_bootstrap, plan, topics=topics, on_progress=told.append)
    assert produced.sent == produced.acknowledged == sum(produced.by_kind.values()) == plan.events
    assert told == sorted(told)
    assert told[-1] == plan.events
    arrived: defaultdict[tuple[Feed, bytes | None], list[bytes | None]] = defaultdict(list)
    for feed, name in topics.items():
        for record in await records_of(stack.kafka_bootstrap, name):
            arrived[feed, record.key].append(record.value)
    meant: defaultdict[tuple[Feed, bytes | None], list[bytes | None]] = defaultdict(list)
    for message in trading_day(plan):
        meant[message.feed, message.key].append(message.value)
    assert arrived == meant
    assert {feed for feed, _ in arrived} == set(Feed)


async def test_the_broker_accepts_today_and_the_pipeline_the_brokers_time(stack: Endpoints, topic: str) -> None:
    today = (datetime.now(UTC) + timedelta(hours=5, minutes=30)).date()
    plan = Plan(today, events=3_000, poison_share=0, correction_share=0)
    await produce_day(stack.kafka_bootstrap, plan, topics={Feed.EVENTS: topic})
    rules = Rules(timedelta(days=3660), timedelta(hours=24))
    for record in await records_of(stack.kafka_bootstrap, topic):
        appended_at = datetime.fromtimestamp(record.timestamp / 1_000, UTC)
        origin = Origin(topic, record.partition, record.offset, appended_at, record.key, record.value, ())
        assert not isinstance(judge(origin, rules), Rejected)


async def test_keys_go_where_the_clients_own_partitioner_sends_them(stack: Endpoints, topic: str) -> None:
    keys = [b"%d" % org_id for org_id in (*range(1, 50), 10**6, 2**63 - 1)]
    async with Sender(stack.kafka_bootstrap, {Feed.EVENTS: topic}) as sender:
        await sender.put([Message(key, b"ours", "x") for key in keys])
        await sender.drain(PATIENCE_SECONDS)
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as theirs:
        for key in keys:
            await theirs.send_and_wait(topic, b"theirs", key=key)
    places = {(record.key, record.partition) for record in await records_of(stack.kafka_bootstrap, topic)}
    assert places == {(key, partition_of(key, PARTITIONS)) for key in keys}


async def test_odd_messages_arrive_as_they_are(stack: Endpoints, topic: str) -> None:
    large = b"x" * (RECORD_BYTES_MAX * 3)
    odd = [
        Message(b"1", None, "tombstone"),
        Message(b"1", b"", "empty"),
        Message(b"1", large, "large"),
        Message(b"1", b"small", "small"),
        Message(None, b"no key", "keyless"),
    ]
    async with Sender(stack.kafka_bootstrap, {Feed.EVENTS: topic}) as sender:
        await sender.put(odd)
        await sender.drain(PATIENCE_SECONDS)
        assert sender.sent.by_kind == {message.kind: 1 for message in odd}
    records = await records_of(stack.kafka_bootstrap, topic)
    assert [record.value for record in records if record.key == b"1"] == [None, b"", large, b"small"]
    assert [record.value for record in records if record.key is None] == [b"no key"]


async def test_the_id_base_grows_with_what_was_sent(stack: Endpoints, topic: str) -> None:
    topics = {Feed.EVENTS: topic, Feed.CORRECTIONS: await create_topic(stack.kafka_bootstrap)}
    assert await next_id_base(stack.kafka_bootstrap, topics) == 0
    await produce_day(stack.kafka_bootstrap, Plan(date(2025, 11, 22), events=321, correction_share=0.5), topics=topics)
    assert await next_id_base(stack.kafka_bootstrap, topics) == 321


async def test_a_rate_is_kept(stack: Endpoints, topic: str) -> None:
    plan = Plan(date(2025, 11, 22), events=300, correction_share=0)
    produced = await produce_day(stack.kafka_bootstrap, plan, rate=300, topics={Feed.EVENTS: topic})
    # Never faster; slower only where the machine is.
    assert produced.seconds >= 0.99
    assert produced.seconds < 5


async def test_a_stopped_run_has_sent_the_beginning_and_knows_it(stack: Endpoints, topic: str) -> None:
    plan = Plan(date(2025, 11, 22), events=100_000, orgs=1, correction_share=0)
    stop = asyncio.Event()

    def after_a_while(acknowledged: int) -> None:
        if acknowledged > 2_000:
            stop.set()

    produced = await produce_day(
        stack.kafka_bootstrap, plan, topics={Feed.EVENTS: topic}, on_progress=after_a_while, stop=stop
    )
    assert 2_000 < produced.acknowledged == produced.sent < plan.events
    arrived = [record.value for record in await records_of(stack.kafka_bootstrap, topic)]
    meant = [message.value for _, message in zip(range(produced.sent), trading_day(plan), strict=False)]
    assert arrived == meant


async def test_a_trickle_goes_on_until_it_is_stopped(stack: Endpoints, topic: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, stop.set)
    plan = Plan(datetime.now(UTC).date(), events=1, correction_share=0)
    produced: Produced = await trickle(stack.kafka_bootstrap, plan, rate=50, stop=stop, topics={Feed.EVENTS: topic})
    assert 20 <= produced.acknowledged == produced.sent <= 60


async def test_a_missing_topic_is_named_and_not_created(stack: Endpoints) -> None:
    plan = Plan(date(2025, 11, 22), events=1, correction_share=0)
    for _ in range(2):
        with pytest.raises(TopicMismatch, match="topic nowhere does not exist"):
            await produce_day(stack.kafka_bootstrap, plan, topics={Feed.EVENTS: "nowhere"})
        with pytest.raises(TopicMismatch, match="topic nowhere does not exist"):
            await next_id_base(stack.kafka_bootstrap, {Feed.EVENTS: "nowhere"})


async def test_an_absent_broker_is_named(unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    with pytest.raises(BrokerUnavailable, match=address):
        await produce_day(address, Plan(date(2025, 11, 22), events=1, correction_share=0))
    with pytest.raises(BrokerUnavailable, match=address):
        await next_id_base(address)
