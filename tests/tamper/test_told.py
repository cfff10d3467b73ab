"""What the topic had told before the database was asked, and what it told since: only the first accuses."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.tamper import heads, verifying
from pipeline.tamper import told as told_module
from pipeline.tamper.store import Store, snapshot
from pipeline.tamper.told import ToldHeads, told_heads
from schemas.chain import ChainHead, encode_head
from schemas.topics import CHAIN_HEADS
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream
from tests.tamper.test_verify_chain import verdict_of


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


async def all_told(told: ToldHeads, lane: int) -> list[tuple[int, bool]]:
    """The numbers, and whether they were told since."""
    survey = await told.survey(lane)
    heads_of = [(await told.heads(survey, stretch)).told for stretch in survey.offsets]
    return sorted((seq, head.since) for found in heads_of for (seq, _), head in found.items())


async def test_what_is_told_meanwhile_is_known_as_such_and_what_is_told_later_is_left_out(stream: Stream) -> None:
    """Beside a stream that goes on: the links of some are in the snapshot, those of others are not."""
    topic = stream.prefix + CHAIN_HEADS
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, head(1), key=b"0", partition=0)
        async with told_heads(stream.endpoints.kafka_bootstrap, topic) as told:
            await producer.send_and_wait(topic, head(2), key=b"0", partition=0)
            assert await all_told(told, 0) == [(1, False)]
            await producer.send_and_wait(topic, head(1), key=b"0", partition=0)
            await told.look_again()
            await producer.send_and_wait(topic, head(3), key=b"0", partition=0)
            assert await all_told(told, 0) == [(1, False), (2, True)]
    finally:
        await producer.stop()


@pytest.mark.parametrize("already", [0, 10])
async def test_a_head_that_is_told_before_the_database_is_asked_is_no_missing_one(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, already: int
) -> None:
    """The topic was opened; then a batch commits, tells its head and marks that; then the database is asked."""
    sent = [(str(n % 4 + 1).encode(), encoded(event(n + 1, org=n % 4 + 1, at=datetime.now(UTC)))) for n in range(20)]

    async def consume(messages: Sequence[Message], upto: int) -> None:
        with stream.worker(KAFKA_GROUP=f"{stream.prefix}{upto}") as worker:
            await stream.send(messages)
            await stream.wait_until_consumed(upto)
            await worker.stop()

    @asynccontextmanager
    async def after_more(*asked: Any) -> AsyncIterator[Store]:
        await consume(sent[already:], 20)
        async with snapshot(*asked) as store:
            yield store

    if already:
        await consume(sent[:already], already)
    monkeypatch.setattr(verifying, "snapshot", after_more)
    verdict = await verdict_of(stream)
    assert (verdict.findings, verdict.events, verdict.heads_agreed) == ([], 20, verdict.links)


async def test_a_stretch_has_its_heads_wherever_they_were_told_again(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that takes over tells again what was not marked as told, and a head that is told otherwise is none."""
    monkeypatch.setattr(heads, "NUMBERS_OF_STRETCH", 2)
    told_so = (head(3), head(4), b"no head", head(5), head(6), head(4), None, head(5), head(7), head(3))
    await _tell(stream, *told_so)
    async with told_heads(stream.endpoints.kafka_bootstrap, stream.prefix + CHAIN_HEADS) as told:
        survey = await told.survey(0)
        assert (survey.first, survey.offsets) == (3, {1: (0, 10), 2: (1, 8), 3: (4, 9)})
        assert sorted(seq for seq, _ in (await told.heads(survey, 2)).told) == [4, 5]
        assert await all_told(told, 0) == [(seq, False) for seq in (3, 4, 5, 6, 7)]
        assert await all_told(told, 1) == []


async def test_heads_that_expire_while_the_chain_is_verified_end_nothing(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments leave the topic by their age, whoever reads it: between the survey and the reading of a stretch."""
    monkeypatch.setattr(heads, "NUMBERS_OF_STRETCH", 4)
    topic = stream.prefix + CHAIN_HEADS
    await _tell(stream, *(head(seq) for seq in range(4, 16)))
    async with told_heads(stream.endpoints.kafka_bootstrap, topic) as told:
        survey = await told.survey(0)
        await _expire(stream, TopicPartition(topic, 0), before=6)
        found = {stretch: await told.heads(survey, stretch) for stretch in survey.offsets}
        assert {stretch: sorted(seq for seq, _ in of.told) for stretch, of in found.items()} == {
            1: [],
            2: [10, 11],
            3: [12, 13, 14, 15],
        }
        assert [of.cut for of in found.values()] == [True, True, False]
        assert (await told.survey(0)).first == 10, "and whoever begins in the middle of what is gone goes on, too"


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_a_lane_that_was_idle_for_longer_than_the_topic_keeps_is_not_accused(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    at = await _one_link(stream)
    await _keep_for(stream, milliseconds=1)
    monkeypatch.setattr(told_module, "_CLOCKS_APART", timedelta(0))
    if meanwhile:

        @asynccontextmanager
        async def after_expiry(*asked: Any) -> AsyncIterator[Store]:
            await _expire(stream, at, before=1)
            async with snapshot(*asked) as store:
                yield store

        monkeypatch.setattr(verifying, "snapshot", after_expiry)
    else:
        await _expire(stream, at, before=1)
    verdict = await verdict_of(stream)
    assert (verdict.findings, verdict.heads_agreed, verdict.heads_expired) == ([], 0, 1)


async def test_what_cannot_have_expired_yet_is_a_finding(stream: Stream) -> None:
    """Heads that somebody has taken away, and so a link that somebody has made."""
    await _expire(stream, await _one_link(stream), before=1)
    verdict = await verdict_of(stream)
    assert [finding.what for finding in verdict.findings] == [
        "the topic was not told of it, and nothing waits in the outbox"
    ]
    assert verdict.heads_expired == 0


async def _tell(stream: Stream, *values: bytes | None) -> None:
    """Into partition 0 of the topic, in this order."""
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(stream.prefix + CHAIN_HEADS, value, key=b"0", partition=0)
    finally:
        await producer.stop()


async def _one_link(stream: Stream) -> TopicPartition:
    """In the partition that is returned; the topic knows of no other."""
    await stream.send([(b"1", encoded(event(1, org=1, at=datetime.now(UTC))))])
    with stream.worker() as worker:
        await stream.wait_until_consumed(1)
        await worker.stop()
    assert (await verdict_of(stream)).heads_agreed == 1
    async with told_heads(stream.endpoints.kafka_bootstrap, stream.prefix + CHAIN_HEADS) as told:
        ((at, (_, end)),) = [(at, span) for at, span in told.spans.items() if span[1]]
        assert end == 1
        assert (await told.survey(at.partition + 1)).first is None
    return at


async def _keep_for(stream: Stream, milliseconds: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    try:
        kept = {"retention.ms": str(milliseconds)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, stream.prefix + CHAIN_HEADS, kept)])
    finally:
        await admin.close()


async def _expire(stream: Stream, at: TopicPartition, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    try:
        await admin.delete_records({at: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()
