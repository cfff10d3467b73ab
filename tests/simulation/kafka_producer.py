"""The producer of aiokafka, as far as a worker uses it: whole batches and single records, acknowledged or not."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from tests.simulation.broker import Broker
from tests.simulation.process import Process

# As small as it can be without making every record a batch: so that full ones are met.
_BATCH_BYTES_MAX: Final = 4_096
Delivery = asyncio.Future[None]


class SimulatedBatch:
    """Records that are sent together."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]] = []
        self._size = 0

    def append(
        self, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], **_timestamp: None
    ) -> object | None:
        """None when the batch has no room for it."""
        size = len(key or b"") + len(value or b"")
        if self.records and self._size + size > _BATCH_BYTES_MAX:
            return None
        self._size += size
        self.records.append((key, value, tuple(headers)))
        return self


class SimulatedProducer:
    """Keeps the order of each partition, as an idempotent producer does; what fails may have been appended."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._last: dict[TopicPartition, asyncio.Task[None]] = {}

    async def start(self) -> None:
        await self._process.call(self._broker, "connect a producer", _nothing)

    async def flush(self) -> None:
        """What is on its way arrives, or fails."""
        if self._last:
            await asyncio.wait(list(self._last.values()))

    async def abandon(self) -> None:
        """What is on its way may arrive, and nobody hears of it."""
        for delivering in self._last.values():
            delivering.cancel()

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._broker.partitions)) if topic in self._broker.topics else set()

    def create_batch(self) -> SimulatedBatch:
        return SimulatedBatch()

    async def send_batch(self, batch: SimulatedBatch, topic: str, *, partition: int) -> Delivery:
        return self._send(TopicPartition(topic, partition), batch)

    async def send(
        self,
        topic: str,
        *,
        value: bytes | None,
        key: bytes | None = None,
        partition: int,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Delivery:
        batch = SimulatedBatch()
        batch.append(key=key, value=value, headers=headers)
        return self._send(TopicPartition(topic, partition), batch)

    def _send(self, partition: TopicPartition, batch: SimulatedBatch) -> Delivery:
        task = asyncio.create_task(self._deliver(partition, batch, self._last.get(partition)))
        # Whoever sent it may be gone when it fails.
        task.add_done_callback(_look_at)
        self._last[partition] = task
        return asyncio.shield(task)  # who stops waiting stops nothing that was sent

    async def _deliver(
        self, partition: TopicPartition, batch: SimulatedBatch, before: "asyncio.Task[None] | None"
    ) -> None:
        if before is not None:
            await asyncio.wait([before])

        async def append() -> None:
            for key, value, headers in batch.records:
                self._broker.append(partition, key, value, headers)

        await self._process.call(self._broker, "produce", append)


def _look_at(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


async def _nothing() -> None:
    return
