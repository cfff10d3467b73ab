"""A chain far longer than what may be held of it: links and heads pass by, and memory knows a stretch of them."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaProducer

from schemas.chain import ChainHead, LinkId, encode_head, head_after
from schemas.topics import CHAIN_HEADS
from tests.support.stream import Stream
from tests.tamper.test_verify_chain import verdict_of

LINKS: Final = 50_000
# All the links and heads of the lane take 40 MB; what one fetch of either brings takes some.
HELD_BYTES_MAX: Final = 16 << 20
BEGAN: Final = datetime(2026, 3, 1, tzinfo=UTC)

Chained = tuple[LinkId, bytes, bytes]  # the head before, and its own


def chain_of(links: int) -> list[Chained]:
    """Links that cover nothing: only the chain itself is long here."""
    chained: list[Chained] = []
    previous = bytes(32)
    for seq in range(1, links + 1):
        link = LinkId(0, seq, UUID(int=seq), 1, "7-1", 0, 0)
        chained.append((link, previous, head_after(previous, link, ())))
        previous = chained[-1][2]
    return chained


async def store(stream: Stream, chain: Sequence[Chained]) -> None:
    async with stream.database() as connection:
        rows = [
            (*astuple(link), *[BEGAN + timedelta(seconds=link.seq)] * 2, previous, head)
            for link, previous, head in chain
        ]
        await connection.copy_records_to_table("chain_links", schema_name="event_store", records=rows)
        last, _, head = chain[-1]
        await connection.execute(
            "INSERT INTO ops.lanes (lane, chain_seq, chain_head) VALUES (0, $1, $2)", last.seq, head
        )


async def tell(stream: Stream, chain: Sequence[Chained]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap, acks="all", linger_ms=20)
    await producer.start()
    try:
        for link, _, head in chain:
            told = ChainHead(
                lane=link.lane,
                seq=link.seq,
                head=head.hex(),
                batch_id=link.batch_id,
                owner_epoch=link.owner_epoch,
                cluster_epoch=link.cluster_epoch,
                events=link.events,
                corrections=link.corrections,
            )
            await producer.send(stream.prefix + CHAIN_HEADS, encode_head(told), key=b"0", partition=0)
        await producer.flush()
    finally:
        await producer.stop()


async def test_memory_does_not_grow_with_the_chain(stream: Stream) -> None:
    chain = chain_of(LINKS)
    await store(stream, chain)
    await tell(stream, chain)
    del chain
    tracemalloc.start()
    try:
        verdict = await verdict_of(stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (verdict.links, verdict.heads_agreed, verdict.findings) == (LINKS, LINKS, [])
    assert peak < HELD_BYTES_MAX, f"{peak:,} bytes"
