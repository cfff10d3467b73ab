"""A Kafka consumer for tests without a broker: as much of the client as the poll loop and the watchdog use."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from tests.support.events import NOON, encoded, event

TOPIC = "t"
Record = ConsumerRecord


def partition(lane: int) -> TopicPartition:
    return TopicPartition(TOPIC, lane)


def record(lane: int, offset: int, value: bytes | None = None) -> "ConsumerRecord[bytes, bytes]":
    body = value if value is not None else encoded(event(offset + 1))
    appended_ms = int(NOON.timestamp() * 1000) + offset
    return ConsumerRecord(TOPIC, lane, offset, appended_ms, 1, b"1", body, None, 1, len(body), ())


@dataclass
class HandConsumer:
    """Delivers what it is given, unless paused; as the client does, a paused partition keeps what it has."""

    waiting: dict[TopicPartition, deque["ConsumerRecord[bytes, bytes]"]] = field(default_factory=dict)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    asked: list[tuple[TopicPartition, ...]] = field(default_factory=list)
    away: bool = False
    refuses_commits: bool = False
    _paused: set[TopicPartition] = field(default_factory=set)

    def give(self, lane: int, offsets: Iterable[int]) -> None:
        """Records of these offsets wait in the topic."""
        self.give_records(lane, [record(lane, offset) for offset in offsets])

    def give_records(self, lane: int, records: Iterable["ConsumerRecord[bytes, bytes]"]) -> None:
        for each in records:
            self.waiting.setdefault(partition(lane), deque()).append(each)
            self.ends[partition(lane)] = each.offset + 1

    # --- the client's interface ---

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]:
        self.asked.append(partitions)
        self._answer()
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for each in partitions or self.waiting:
            queue = self.waiting.get(each)
            while queue and each not in self._paused and max_records:
                found.setdefault(each, []).append(queue.popleft())
                max_records -= 1
        await asyncio.sleep(0 if found else timeout_ms / 1000)
        return found

    def assignment(self) -> set[TopicPartition]:
        return set(self.waiting) | set(self.ends)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._answer()
        return {each: self.ends.get(each, 0) for each in partitions}

    async def position(self, each: TopicPartition) -> int:
        return self.positions.get(each, 0)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self._answer()
        if self.refuses_commits:
            raise KafkaConnectionError("as if the coordinator moved")
        self.committed.update(offsets)

    def _answer(self) -> None:
        if self.away:
            raise KafkaConnectionError("as if the broker were away")
