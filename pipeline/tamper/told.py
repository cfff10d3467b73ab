"""Reading what the topic was told: of a lane, a stretch of numbers at a time, so that memory holds the heads of one."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from pipeline.broker import servers_of
from pipeline.errors import BrokerUnavailable
from pipeline.onlooker import new_onlooker
from pipeline.tamper.heads import StretchHeads, ToldHead, stretch_of
from pipeline.tamper.store import LONG_AGO
from pipeline.topics import partition_counts, retention_ms
from pipeline.translate import broker_errors
from schemas.chain import ChainHead, decode_head
from schemas.instants import Instant, instant_of

_POLL_MS: Final = 200
_RECORDS_OF_POLL: Final = 10_000
# A broker that answers nothing for so long will not answer.
_QUIET_POLLS_MAX: Final = 150
_CLOCKS_APART: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Survey:
    """Where the heads of a lane are in their partition: by stretch of numbers, the first offset and the one behind.

    Told in the order of the numbers, stretches hardly overlap: only where heads were told again, or by a new primary.
    """

    lane: int
    offsets: Mapping[int, tuple[int, int]]
    first: int | None  # the lowest number; beyond all where every head may have left the topic; None: it was told none


class ToldHeads:
    """What the topic held when it was opened: before the database is asked, so that every head has its link there.

    And what it held when it was looked at again, after that: then every link that the database says was told is there.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]], kept_since: Instant
    ) -> None:
        """`kept_since`: what was told from then on, no age can have taken away."""
        self._consumer = consumer
        self.spans = spans
        self.kept_since = kept_since
        self._ends = {at: end for at, (_, end) in spans.items()}

    async def look_again(self) -> None:
        """Take in what was told since, now that the database's snapshot is taken."""
        self._ends = await self._consumer.end_offsets(list(self.spans))

    async def survey(self, lane: int) -> Survey:
        """One pass over the lane's partition, holding none of it."""
        offsets: dict[int, tuple[int, int]] = {}
        first: int | None = None
        async for offset, head in self._read(lane, None):
            stretch = stretch_of(head.seq)
            offsets[stretch] = (offsets.get(stretch, (offset, 0))[0], offset + 1)
            first = head.seq if first is None else min(first, head.seq)
        if first is None and await self._begins(self._partition(lane)) > 0:
            first = sys.maxsize  # of a lane that has stored nothing for longer than the topic keeps
        return Survey(lane, offsets, first)

    async def heads(self, survey: Survey, stretch: int) -> StretchHeads:
        """The heads of a stretch, by number and cluster epoch.

        A head that was told twice says the same; where it does not, the first stands: it was told at the time.
        """
        found: dict[tuple[int, str], ToldHead] = {}
        if stretch not in survey.offsets:
            return StretchHeads(found)
        at = self._partition(survey.lane)
        _, opened_at = self.spans[at]
        begin, end = survey.offsets[stretch]
        async for offset, head in self._read(survey.lane, (begin, end)):
            if stretch_of(head.seq) == stretch:
                found.setdefault((head.seq, head.cluster_epoch), ToldHead(head.head, offset >= opened_at))
        return StretchHeads(found, cut=await self._begins(at) > begin)

    async def _begins(self, at: TopicPartition) -> int:
        """Where a partition begins by now: asked after a reading, for what that did not meet is below it."""
        begins: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets([at])
        return begins[at]

    def _partition(self, lane: int) -> TopicPartition:
        """After a growth, lanes that were added late have told nothing before; none has moved to another partition."""
        return next(at for at in self.spans if at.partition == lane % len(self.spans))

    async def _read(self, lane: int, span: tuple[int, int] | None) -> AsyncIterator[tuple[int, ChainHead]]:
        """The heads of a lane with their offsets. What cannot be read is no head of ours."""
        at = self._partition(lane)
        start, end = span or (self.spans[at][0], self._ends[at])
        if start >= end:
            return
        self._consumer.assign([at])
        self._consumer.seek(at, start)
        quiet, before = 0, -1
        while (position := await self._consumer.position(at)) < end:
            quiet = quiet + 1 if position == before else 0
            if quiet > _QUIET_POLLS_MAX:
                raise BrokerUnavailable(f"{at.topic} gave nothing for 30 s, short of its end")
            before = position
            try:
                batches = await self._consumer.getmany(at, timeout_ms=_POLL_MS, max_records=_RECORDS_OF_POLL)
            except OffsetOutOfRangeError:  # a segment has left the topic since its offsets were asked for
                await self._consumer.seek_to_beginning(at)
                continue
            for record in batches.get(at, ()):
                # What was told since then is of links that the snapshot of the database does not have.
                if record.offset < end and (head := _head(record.value)) is not None and head.lane == lane:
                    yield record.offset, head
            await asyncio.sleep(0)


def _kept_since(milliseconds: int) -> Instant:
    """What is younger has not left by its age; a clock of another machine may be an hour off."""
    if milliseconds < 0:
        return LONG_AGO
    return instant_of(datetime.now(UTC) - timedelta(milliseconds=milliseconds) + _CLOCKS_APART)


def _head(value: bytes | None) -> ChainHead | None:
    try:
        return decode_head(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@asynccontextmanager
async def told_heads(bootstrap: str, topic: str) -> AsyncIterator[ToldHeads]:
    """Raises TopicMismatch where there is no such topic, BrokerUnavailable."""
    counts = await partition_counts(bootstrap, [topic])
    kept_since = _kept_since(await retention_ms(bootstrap, topic))
    consumer = new_onlooker(bootstrap, "folio-verify-chain")
    try:
        with broker_errors(f"reading {topic} at {servers_of(bootstrap)}"):
            await consumer.start()
            partitions = [TopicPartition(topic, number) for number in range(counts[topic])]
            starts = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            yield ToldHeads(consumer, {at: (starts[at], ends[at]) for at in partitions}, kept_since)
    finally:
        await consumer.stop()
