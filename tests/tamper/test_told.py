"""What the topic is read for ends where it ended before the database was asked."""

from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.tamper import heads
from pipeline.tamper.told import ToldHeads, told_heads
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


async def all_told(told: ToldHeads, lane: int) -> dict[tuple[int, str], str]:
    survey = await told.survey(lane)
    return {key: text for stretch in survey.offsets for key, text in (await told.heads(survey, stretch)).items()}


async def test_what_is_told_meanwhile_is_left_out(stream: Stream) -> None:
    """Beside a stream that goes on: its links are not in the snapshot either."""
    topic = stream.prefix + CHAIN_HEADS
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, head(1), key=b"0", partition=0)
        async with told_heads(stream.endpoints.kafka_bootstrap, topic) as told:
            await producer.send_and_wait(topic, head(2), key=b"0", partition=0)
            assert await all_told(told, 0) == {(1, "1-1"): f"{1:064x}"}
    finally:
        await producer.stop()


async def test_a_stretch_has_its_heads_wherever_they_were_told_again(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that takes over tells again what was not marked as told, and a head that is told otherwise is none."""
    monkeypatch.setattr(heads, "NUMBERS_OF_STRETCH", 2)
    topic = stream.prefix + CHAIN_HEADS
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        for value in (head(3), head(4), b"no head", head(5), head(6), head(4), None, head(5), head(7), head(3)):
            await producer.send_and_wait(topic, value, key=b"0", partition=0)
        async with told_heads(stream.endpoints.kafka_bootstrap, topic) as told:
            survey = await told.survey(0)
            assert (survey.first, survey.offsets) == (3, {1: (0, 10), 2: (1, 8), 3: (4, 9)})
            assert sorted(seq for seq, _ in await told.heads(survey, 2)) == [4, 5]
            assert {seq for seq, _ in await all_told(told, 0)} == {3, 4, 5, 6, 7}
            assert await all_told(told, 1) == {}
    finally:
        await producer.stop()
