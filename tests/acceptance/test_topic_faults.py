"""Topics that are not what they were: refused with words, and never skipped in silence."""

import asyncio

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.topics import Feed
from tests.acceptance.test_membership import creations
from tests.conftest import MakeStream
from tests.support.stream import Stream, new_topics
from tests.support.waiting import until


async def _stopped_reason(stream: Stream) -> str:
    async with stream.database() as connection:
        return str(await connection.fetchval("SELECT string_agg(stopped_reason, '; ') FROM ops.lanes"))


async def _consume(stream: Stream, records: int) -> None:
    await stream.send(creations(1, records))
    with stream.worker() as worker:
        await stream.wait_until_consumed(records)
        assert await worker.stop() == 0


async def test_a_recreated_and_refilled_topic_is_refused(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=1)
    await _consume(stream, 20)
    await _recreate(stream)
    await stream.send(creations(1_000, 40))
    with stream.worker() as worker:
        await worker.wait_for_log("lane stopped")
        await asyncio.sleep(0.5)
        assert sum((await stream.outcomes()).values()) == 20
        assert "recreated" in await _stopped_reason(stream)
        assert await worker.stop() == 0


async def test_a_topic_that_ends_before_the_position_is_refused(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=1)
    await _consume(stream, 20)
    await _recreate(stream)
    with stream.worker() as worker:
        await worker.wait_for_log("lane stopped")
        assert "the topic ends at 0" in await _stopped_reason(stream)
        assert await worker.stop() == 0


async def test_a_lane_that_moved_on_while_its_claim_waited_is_not_taken_for_cut(make_stream: MakeStream) -> None:
    """Seed 3319 of the simulation: a claimant that was stalled knew an end of the topic from before its claim."""
    stream = await make_stream(lanes=1)
    await _consume(stream, 20)
    async with stream.database() as owner, stream.database() as observer, owner.transaction():
        await owner.execute("UPDATE ops.lanes SET finance_position = 50, last_offset = NULL")
        with stream.worker() as worker:
            await until(lambda: _somebody_waits(observer))
            await stream.send(creations(1_000, 30))
            await owner.execute("COMMIT; BEGIN")  # the former owner's last batch, so to speak
            await worker.wait_for_log("lanes claimed")
            assert await _stopped_reason(stream) == "None"
            assert await worker.stop() == 0


async def _somebody_waits(connection: asyncpg.Connection) -> bool:
    """Whether the claim has come to the lanes, which are held."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await connection.fetchval(waiting))


async def test_expired_records_stop_the_lane_and_say_what_was_lost(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=1)
    await _consume(stream, 20)
    await stream.send(creations(1_000, 30))
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(stream.topic, 0): RecordsToDelete(before_offset=45)})
    await admin.close()
    with stream.worker() as worker:
        await worker.wait_for_log("lane stopped")
        reason = await _stopped_reason(stream)
        assert "records 20 to 44 have left the topic" in reason
        assert "(25 lost)" in reason
        assert await worker.stop() == 0
    assert stream.folio("status").returncode == 1
    assert (await stream.prove()).exit_code == 2


async def test_a_lane_that_is_paused_and_cannot_go_on_is_told_as_stopped(make_stream: MakeStream) -> None:
    """Told as paused as well, it would stay so once it was resumed: nobody looks at the pause of a stopped lane."""
    stream = await make_stream(lanes=1)
    await _consume(stream, 20)
    assert stream.folio("pause", "lane", "0", "--reason", "to be moved").returncode == 0
    await _recreate(stream)
    with stream.worker() as worker:
        await worker.wait_for_log("lane stopped")
        told = worker.metrics()
        assert (told["folio_lanes_stopped"], told["folio_lanes_paused"]) == (1, 0)
        assert await worker.stop() == 0


@pytest.mark.parametrize(
    ("grown", "reason"),
    [(list(Feed), "grown by a drained command"), ([Feed.EVENTS], "must have equally many partitions")],
    ids=["both", "one"],
)
async def test_partitions_added_under_the_stream_are_refused(
    make_stream: MakeStream, grown: list[Feed], reason: str
) -> None:
    stream = await make_stream(lanes=1)
    await _consume(stream, 5)
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    await admin.create_partitions({stream.prefix + feed: NewPartitions(total_count=3) for feed in grown})
    await admin.close()
    with stream.worker() as worker:
        assert await worker.wait() == 3
        assert reason in worker.log


async def _recreate(stream: Stream) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    names = [name for name in await admin.list_topics() if name.startswith(stream.prefix)]
    await admin.delete_topics(names)
    async with asyncio.timeout(20):
        while any(name.startswith(stream.prefix) for name in await admin.list_topics()):
            await asyncio.sleep(0.1)
    await admin.close()
    await new_topics(stream.endpoints, stream.prefix, stream.lanes)
