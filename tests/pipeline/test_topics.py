"""The topics on a real broker: created as the lanes need them, and told apart from those that are not."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.errors import BrokerUnavailable, TopicMismatch
from pipeline.settings import DatabaseSettings
from pipeline.status import open_status
from pipeline.topics import check_topics, create_topics, lane_count
from schemas.routing import home_lane
from schemas.topics import FINANCE_EVENTS, Feed, topics
from tests.support.events import correction, encoded, event
from tests.support.stream import Stream


async def test_topics_are_created_once_and_are_what_the_lanes_need(stream: Stream) -> None:
    bootstrap = stream.endpoints.kafka_bootstrap
    assert await create_topics(bootstrap, 2, 1, stream.prefix) == []
    assert await check_topics(bootstrap, stream.prefix) == []
    assert await lane_count(bootstrap, stream.prefix) == 2


async def test_what_is_wrong_with_a_topic_is_said_in_words(stream: Stream) -> None:
    bootstrap, prefix = stream.endpoints.kafka_bootstrap, f"{stream.prefix}other."
    assert len(await check_topics(bootstrap, prefix)) == len(topics())
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        spoiled = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
        await admin.create_topics([NewTopic(prefix + FINANCE_EVENTS, 3, 1, topic_configs=spoiled)])
    finally:
        await admin.close()
    await create_topics(bootstrap, 2, 1, prefix)
    problems = await check_topics(bootstrap, prefix)
    assert [problem.split("(")[0].split(":")[0] for problem in problems] == [
        "the topics differ in partitions ",
        f"topic {prefix}finance-events",
        f"topic {prefix}finance-events",
    ]
    assert any("cleanup.policy is 'compact', must be 'delete'" in problem for problem in problems)


async def test_a_topic_that_does_not_exist_is_named(stream: Stream) -> None:
    with pytest.raises(TopicMismatch, match=r"no-such\.finance-events, no-such\.balance-corrections: no such topic"):
        await lane_count(stream.endpoints.kafka_bootstrap, "no-such.")


async def test_a_broker_that_is_away_is_told() -> None:
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        await check_topics("127.0.0.1:1")


async def test_marks_of_transactions_and_what_they_aborted_are_no_lag(stream: Stream) -> None:
    """A lane never stands behind what nobody delivers: it would lag for ever, and the stream could never grow."""
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, transactional_id=stream.prefix)
    await producer.start()
    for number, end in ((1, producer.commit_transaction), (2, producer.abort_transaction)):
        await producer.begin_transaction()
        await producer.send_and_wait(stream.topic, encoded(event(number)), b"1", partition=home_lane(1, 2))
        await end()
    await producer.stop()
    with stream.worker() as worker:
        await stream.wait_until_consumed(1)
        assert await worker.stop() == 0
    async with open_status(stream.endpoints, DatabaseSettings(), stream.prefix) as reader:
        status = await reader.read()
        at = status.lanes[home_lane(1, 2)].feeds[Feed.EVENTS]
        assert (status.lag_records, at.position, at.end) == (0, 1, 4)
        await stream.send([(b"1", encoded(event(3)))])
        assert (await reader.read()).lag_records > 0


async def test_status_tells_what_waits_before_any_worker_came(stream: Stream) -> None:
    await stream.send([(b"1", encoded(event(number))) for number in (1, 2, 3)])
    await stream.send([(b"1", encoded(correction()))], feed=Feed.CORRECTIONS)
    async with open_status(stream.endpoints, DatabaseSettings(), stream.prefix) as reader:
        status = await reader.read()
    assert (status.lag_records, status.consumed, status.unpublished) == (4, 0, 0)
    (waiting,) = [lane for lane in status.lanes if lane.lag_records]
    assert {feed: at.lag_records for feed, at in waiting.feeds.items()} == {Feed.EVENTS: 3, Feed.CORRECTIONS: 1}
    assert 0 < status.lag_seconds < 60
    assert {lane.owner for lane in status.lanes} == {None}
    assert [lane.lane for lane in status.lanes] == [0, 1]


async def test_status_counts_from_the_positions_in_the_database(stream: Stream) -> None:
    await stream.send([(b"1", encoded(event(number))) for number in (1, 2, 3)], partition=1)
    async with stream.database() as connection:
        await connection.execute(
            "INSERT INTO ops.lanes (lane, owner, owner_epoch, finance_position, applied, outbox_seq, published_seq) "
            "VALUES (0, 'w', 1, 0, 0, 0, 0), (1, 'w', 2, 3, 3, 5, 4)"
        )
    async with open_status(stream.endpoints, DatabaseSettings(), stream.prefix) as reader:
        status = await reader.read()
    assert (status.lag_records, status.consumed, status.unpublished, status.lag_seconds) == (0, 3, 1, 0)
    assert status.outcomes() == {"applied": 3, "duplicate": 0, "stale": 0, "conflict": 0, "quarantined": 0}
