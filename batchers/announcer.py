"""What each lane's chain has come to, told to a topic: a witness that whoever rewrites the database cannot rewrite."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer

from batchers.connection import Reach
from batchers.delivering import answer_bound, forget, prolong
from batchers.gate import Gate
from batchers.outbox import OutboxRow
from pipeline.errors import TopicMismatch
from pipeline.metrics import Metrics
from pipeline.translate import broker_errors


class Announcer:
    """Sends the heads of the rows, each to the partition of its lane; one that is told twice says the same."""

    def __init__(self, producer: AIOKafkaProducer, broker: Gate, topic: str, metrics: Metrics, reach: Reach) -> None:
        self._producer = producer
        self._broker = broker
        self._topic = topic
        self._metrics = metrics
        self._reach = reach

    async def announce(self, rows: Sequence[OutboxRow]) -> None:
        """Send them and wait until the brokers have them. Raises BrokerUnavailable, NotAsked."""
        heads = [(row.lane, row.chain_head) for row in rows if row.chain_head is not None]
        if not heads:
            return
        with self._metrics.attempted("announce"):
            await self._broker.call_once(partial(self._announce, heads))
        self._metrics.announced.inc(len(heads))
        self._reach("announced")

    async def _announce(self, heads: Sequence[tuple[int, bytes]]) -> None:
        with broker_errors(f"announcing to {self._topic}"):
            async with answer_bound() as bound:
                await self._send(heads, bound)

    async def _send(self, heads: Sequence[tuple[int, bytes]], bound: asyncio.Timeout) -> None:
        partitions = await self._producer.partitions_for(self._topic)
        if not partitions:
            raise TopicMismatch(f"topic {self._topic} does not exist: run `folio topics create`")
        deliveries: list[asyncio.Future[Any]] = []
        try:
            for lane, head in heads:
                # While a topic grows, it may have fewer partitions than there are lanes for a moment.
                place = lane % len(partitions)
                deliveries.append(await self._producer.send(self._topic, value=head, key=b"%d" % lane, partition=place))
                prolong(bound)
            for delivery in deliveries:
                await delivery
                prolong(bound)
        finally:
            forget(deliveries)
