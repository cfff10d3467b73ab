"""Reading Kafka: spans of partitions from offset to offset, without a group, committing nothing."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pipeline.broker import broker_options, servers_of
from pipeline.errors import BrokerUnavailable, OffsetExpired, TopicMismatch
from pipeline.oracle.records import Record
from pipeline.oracle.spans import Span
from pipeline.record_batches import keep_every_record_readable

FINANCE_EVENTS: Final = "finance-events"
BALANCE_CORRECTIONS: Final = "balance-corrections"
REALTIME_UPDATES: Final = "realtime-updates"

# As much as a broker sends at once for a partition; reading is bound by our decoding, not by round trips.
_FETCH_PARTITION_BYTES: Final = 4 << 20
_RECORDS_OF_FETCH: Final = 10_000
# Nobody wakes us for records that are passed over: at the end of a span we look for ourselves.
_POLL_MS: Final = 200
# A broker that answers nothing for so long will not answer.
_STALLED_SECONDS: Final = 30
_QUIET_POLLS_MAX: Final = _STALLED_SECONDS * 1000 // _POLL_MS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Topics:
    """A consumer of our own, at no group's expense."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Mapping[str, Sequence[int]], prefix: str) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._prefix = prefix

    def name_of(self, topic: str) -> str:
        """The name of a topic on this cluster."""
        return self._prefix + topic

    async def extent(self, topic: str) -> dict[int, Span]:
        """What each partition holds now, up to the first record of a transaction that is still open.

        Raises TopicMismatch when there is no such topic.
        """
        name = self.name_of(topic)
        if name not in self._partitions:
            raise TopicMismatch(f"there is no topic {name}: run `folio topics create`")
        partitions = [TopicPartition(name, number) for number in self._partitions[name]]
        starts = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        return {at.partition: Span(starts[at], ends[at]) for at in partitions}

    async def read(self, topic: str, spans: Mapping[int, Span]) -> AsyncIterator[Sequence[Record]]:
        """The records of the spans, a chunk of one partition at a time, in offset order.

        As the worker reads them: those of aborted transactions, and the marks of transactions, are passed over.
        Raises OffsetExpired when records leave the topic meanwhile, BrokerUnavailable when none come.
        """
        name = self.name_of(topic)
        ends = {TopicPartition(name, lane): span.end for lane, span in spans.items() if span.start < span.end}
        if not ends:
            return
        self._consumer.assign(list(ends))
        for at in ends:
            self._consumer.seek(at, spans[at.partition].start)
        quiet_polls, before = 0, dict.fromkeys(ends, -1)
        while ends:
            batches = await self._consumer.getmany(*ends, timeout_ms=_POLL_MS, max_records=_RECORDS_OF_FETCH)
            for at, batch in batches.items():
                yield [_record(at.partition, one) for one in batch if one.offset < ends[at]]
            # Positions tell more than records: they move over what is passed over, too.
            positions = {at: await self._consumer.position(at) for at in ends}
            quiet_polls = quiet_polls + 1 if positions == before else 0
            if quiet_polls >= _QUIET_POLLS_MAX:
                raise BrokerUnavailable(f"{name} gave nothing for {_STALLED_SECONDS} s, short of the end")
            before = positions
            for at in [at for at in ends if positions[at] >= ends[at]]:
                self._consumer.pause(at)
                del ends[at]


def _record(lane: int, one: Any) -> Record:
    names, values = zip(*one.headers, strict=True) if one.headers else ((), ())
    return Record(lane, one.offset, _instant(one.timestamp), one.value, names, values)


@lru_cache(maxsize=1024)  # the broker stamps a whole batch of a producer with one time: a million records share few
def _instant(timestamp_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=timestamp_ms)


@asynccontextmanager
async def connected(bootstrap: str, topic_prefix: str = "") -> AsyncIterator[Topics]:
    """The topics of a cluster whose names begin with a prefix.

    Raises BrokerUnavailable, and OffsetExpired for what Kafka raises in their stead.
    """
    keep_every_record_readable()
    consumer = AIOKafkaConsumer(
        **broker_options(bootstrap),
        client_id="folio-verify",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=_FETCH_PARTITION_BYTES,
    )
    try:
        partitions = await _partitions(bootstrap)
        await consumer.start()
        yield Topics(consumer, partitions, topic_prefix)
    except OffsetOutOfRangeError as error:
        raise OffsetExpired(f"records left the topic while they were read: {error}") from error
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"Kafka at {servers_of(bootstrap)}: {error!r}") from error
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str) -> dict[str, list[int]]:
    # All topics are asked for, none by name: a broker may create a topic that it is asked about.
    admin = AIOKafkaAdminClient(**broker_options(bootstrap), client_id="folio-verify")
    try:
        await admin.start()
        described = await admin.describe_topics()
    finally:
        await admin.close()
    return {topic["topic"]: sorted(one["partition"] for one in topic["partitions"]) for topic in described}
