"""Dead letters to their topic, for whoever wants to hear of them there. The table stays their home."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from batchers.connection import Reach
from batchers.delivering import answer_bound, forget, prolong
from batchers.gate import Gate
from batchers.outbox import OutboxRow
from pipeline.errors import TopicMismatch
from pipeline.metrics import Metrics
from pipeline.translate import broker_errors
from schemas.dead_letters import DeadLetter, exported_headers, omitting_headers

# A letter is sent whole with its record: as many at a time as do not fill the memory twice.
_TOGETHER_MAX = 500
_TOGETHER_BYTES_MAX = 4 * 1024 * 1024

Delivery = asyncio.Future[Any]


class Exporter:
    """Sends each letter on its own, as few as they are, to the partition of the lane that it came by."""

    def __init__(self, producer: AIOKafkaProducer, broker: Gate, topic: str, metrics: Metrics, reach: Reach) -> None:
        self._producer = producer
        self._broker = broker
        self._topic = topic
        self._metrics = metrics
        self._reach = reach

    async def export(self, rows: Sequence[OutboxRow]) -> None:
        """Send the letters of these rows and wait until the brokers have them. Raises BrokerUnavailable, NotAsked."""
        letters = [letter for row in rows for letter in row.letters]
        if not letters:
            return
        with self._metrics.attempted("export"):
            await self._broker.call_once(partial(self._export, letters))
        self._metrics.exported.inc(len(letters))
        self._reach("exported")

    async def _export(self, letters: Sequence[DeadLetter]) -> None:
        with broker_errors(f"exporting to {self._topic}"):
            async with answer_bound() as bound:
                partitions = await self._producer.partitions_for(self._topic)
                if not partitions:
                    raise TopicMismatch(f"topic {self._topic} does not exist: run `folio topics create`")
                for some in _together(letters):
                    await self._send(some, len(partitions), bound)

    async def _send(self, letters: Sequence[DeadLetter], partitions: int, bound: asyncio.Timeout) -> None:
        deliveries: list[Delivery] = []
        try:
            for letter in letters:
                deliveries.append(await self._hand_over(letter, letter.origin.lane % partitions))
                prolong(bound)
            for letter, delivery in zip(letters, deliveries, strict=True):
                try:
                    await delivery
                except MessageSizeTooLargeError:
                    await self._send_alone(letter, letter.origin.lane % partitions)
                prolong(bound)
        finally:
            forget(deliveries)

    async def _send_alone(self, letter: DeadLetter, partition: int) -> None:
        """The broker refuses a whole batch of the client for one record in it: this one, or a neighbour."""
        try:
            await (await self._hand_over(letter, partition))
        except MessageSizeTooLargeError:
            await (await self._hand_over_without_record(letter, partition))

    async def _hand_over(self, letter: DeadLetter, partition: int) -> Delivery:
        origin, headers = letter.origin, list(exported_headers(letter))
        # The client sends no record without both; the reason (`empty`) tells what it was.
        value = b"" if origin.key is None and origin.value is None else origin.value
        try:
            delivery: Delivery = await self._producer.send(
                self._topic, key=origin.key, value=value, partition=partition, headers=headers
            )
        except MessageSizeTooLargeError:  # with our headers it is larger than the record was that the broker took
            return await self._hand_over_without_record(letter, partition)
        return delivery

    async def _hand_over_without_record(self, letter: DeadLetter, partition: int) -> Delivery:
        """Neither key nor headers of the record: it may be these that are too large."""
        headers = list(omitting_headers(letter))
        delivery: Delivery = await self._producer.send(self._topic, value=b"", partition=partition, headers=headers)
        return delivery


def _together(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """The letters in their order, cut into what is sent at a time."""
    some: list[DeadLetter] = []
    size = 0
    for letter in letters:
        if some and (len(some) == _TOGETHER_MAX or size + letter.size > _TOGETHER_BYTES_MAX):
            yield some
            some, size = [], 0
        some.append(letter)
        size += letter.size
    if some:
        yield some
