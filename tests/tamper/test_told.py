"""What the topic is read for ends where it ended before the database was asked."""

from uuid import UUID

from aiokafka import AIOKafkaProducer

from pipeline.tamper.told import told_heads
from schemas.chain import ChainHead, encode_head
from schemas.topics import CHAIN_HEADS
from tests.support.stream import Stream


def head(seq: int) -> bytes:
    return encode_head(
        ChainHead(
            lane=0,
            seq=seq,
            head=f"{seq:064x}",
            batch_id=UUID(int=seq),
            owner_epoch=1,
            cluster_epoch="1-1",
            events=1,
            corrections=0,
        )
    )


async def test_what_is_told_meanwhile_is_left_out(stream: Stream) -> None:
    """Beside a stream that goes on: its links are not in the snapshot either."""
    topic = stream.prefix + CHAIN_HEADS
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, head(1), key=b"0", partition=0)
        async with told_heads(stream.endpoints.kafka_bootstrap, topic) as told:
            await producer.send_and_wait(topic, head(2), key=b"0", partition=0)
            assert await told.of(0) == {(1, "1-1"): f"{1:064x}"}
    finally:
        await producer.stop()
