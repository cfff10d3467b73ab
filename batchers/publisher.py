"""Realtime updates to the topic, in the order of the outbox, acknowledged by every replica."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec import UNSET

from batchers.connection import Reach
from batchers.delivering import answer_bound, forget, prolong
from batchers.gate import Gate
from batchers.outbox import OutboxRow
from pipeline.errors import TopicMismatch
from pipeline.metrics import Metrics
from pipeline.translate import broker_errors
from schemas import traceparent
from schemas.routing import home_lane
from schemas.updates import BalanceUpdate, EncodedUpdate

Message = tuple[bytes, bytes]


class Publisher:
    """Sends whole record batches: one call for a partition's updates costs far less than one call for each."""

    def __init__(self, producer: AIOKafkaProducer, broker: Gate, topic: str, metrics: Metrics, reach: Reach) -> None:
        self._producer = producer
        self._broker = broker
        self._topic = topic
        self._metrics = metrics
        self._reach = reach

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Send the updates of these rows and wait until the brokers have them. Raises BrokerUnavailable, NotAsked."""
        updates = sum(len(row.updates) for row in rows)
        if not updates:  # nothing is asked of the broker, so nothing may count as its answer
            return
        with self._metrics.attempted("publish"):
            await self._broker.call_once(partial(self._publish, rows))
        self._metrics.published.inc(updates)
        self._reach("published")

    async def _publish(self, rows: Sequence[OutboxRow]) -> None:
        with broker_errors(f"publishing to {self._topic}"):
            async with answer_bound() as bound:
                await self._send(rows, bound)

    async def _send(self, rows: Sequence[OutboxRow], bound: asyncio.Timeout) -> None:
        partitions = await self._producer.partitions_for(self._topic)
        if not partitions:
            raise TopicMismatch(f"topic {self._topic} does not exist: run `folio topics create`")
        messages = _by_partition(rows, len(partitions))
        deliveries: list[asyncio.Future[Any]] = []
        try:
            for partition, updates in messages.items():
                for batch in self._batches(updates):
                    # Waits while the client has a batch of the partition that it has not sent.
                    deliveries.append(await self._producer.send_batch(batch, self._topic, partition=partition))
                    prolong(bound)
            self._reach("publishing")
            for delivery in deliveries:
                await delivery
                prolong(bound)
        finally:
            forget(deliveries)

    def _batches(self, updates: Sequence[EncodedUpdate]) -> Iterator[BatchBuilder]:
        """The updates of a partition in as few record batches as hold them."""
        batch = self._producer.create_batch()
        for update, value in updates:
            key, headers = b"%d" % update.org_id, _headers(update)
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=headers)
        yield batch


def _headers(update: BalanceUpdate) -> list[tuple[str, bytes]]:
    """The trace of what caused the update, where tracing tools look for it."""
    return [(traceparent.HEADER, update.traceparent.encode())] if update.traceparent is not UNSET else []


def _by_partition(rows: Sequence[OutboxRow], partitions: int) -> dict[int, list[EncodedUpdate]]:
    messages: dict[int, list[EncodedUpdate]] = defaultdict(list)
    for row in rows:
        for encoded in row.updates:
            messages[home_lane(encoded.update.org_id, partitions)].append(encoded)
    return messages
