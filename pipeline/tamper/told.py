"""Reading what the topic was told: a lane at a time, so that memory holds the heads of one lane."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.broker import servers_of
from pipeline.errors import BrokerUnavailable
from pipeline.onlooker import new_onlooker
from pipeline.topics import partition_counts
from pipeline.translate import broker_errors
from schemas.chain import decode_head

_POLL_MS: Final = 200
_RECORDS_OF_POLL: Final = 10_000
# A broker that answers nothing for so long will not answer.
_QUIET_POLLS_MAX: Final = 150


class ToldHeads:
    """What the topic held when it was opened: before the database is asked, so that every head has its link there."""

    def __init__(self, consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]]) -> None:
        self._consumer = consumer
        self.spans = spans
        self.unreadable = 0

    async def of(self, lane: int) -> dict[tuple[int, str], str]:
        """The heads of a lane, in hex, by number and cluster epoch.

        A head that was told twice says the same; where it does not, the first stands: it was told at the time.
        """
        found: dict[tuple[int, str], str] = {}
        # After a growth, lanes that were added late have told nothing before; none has moved to another partition.
        at = next((at for at in self.spans if at.partition == lane % len(self.spans)), None)
        if at is None or self.spans[at][0] >= self.spans[at][1]:
            return found
        start, end = self.spans[at]
        self._consumer.assign([at])
        self._consumer.seek(at, start)
        quiet, before = 0, -1
        while (position := await self._consumer.position(at)) < end:
            quiet = quiet + 1 if position == before else 0
            if quiet > _QUIET_POLLS_MAX:
                raise BrokerUnavailable(f"{at.topic} gave nothing for 30 s, short of its end")
            before = position
            batches = await self._consumer.getmany(at, timeout_ms=_POLL_MS, max_records=_RECORDS_OF_POLL)
            for record in batches.get(at, ()):
                # What was told since is of links that the snapshot of the database does not have.
                if record.offset < end:
                    self._take(found, lane, record.value)
            await asyncio.sleep(0)
        return found

    def _take(self, found: dict[tuple[int, str], str], lane: int, value: bytes | None) -> None:
        try:
            head = decode_head(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            return
        if head.lane == lane:
            found.setdefault((head.seq, head.cluster_epoch), head.head)


@asynccontextmanager
async def told_heads(bootstrap: str, topic: str) -> AsyncIterator[ToldHeads]:
    """Raises TopicMismatch where there is no such topic, BrokerUnavailable."""
    counts = await partition_counts(bootstrap, [topic])
    consumer = new_onlooker(bootstrap, "folio-verify-chain")
    try:
        with broker_errors(f"reading {topic} at {servers_of(bootstrap)}"):
            await consumer.start()
            partitions = [TopicPartition(topic, number) for number in range(counts[topic])]
            starts = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            yield ToldHeads(consumer, {at: (starts[at], ends[at]) for at in partitions})
    finally:
        await consumer.stop()
