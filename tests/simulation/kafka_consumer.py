"""The consumer of aiokafka, as far as a worker uses it, against the broker in memory.

Its order of things is the client's (aiokafka 0.14, group_coordinator.py): revoked is called before each join, and
heartbeats go on meanwhile; none is sent from the join on until the listener has taken what was assigned.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, KafkaError

from tests.simulation.broker import Broker, Member, Stored, UnknownMember
from tests.simulation.process import Process

_LOG_APPEND_TIME: Final = 1
_RETRY_SECONDS: Final = 0.1
_HEARTBEATS_A_SESSION: Final = 6


class SimulatedConsumer:
    """A member of the group."""

    def __init__(self, broker: Broker, process: Process, session_seconds: float) -> None:
        self._broker = broker
        self._process = process
        self._session_seconds = session_seconds
        self.number: int | None = None
        self._generation = 0  # of the group, when lanes were assigned last
        self._assignment: frozenset[TopicPartition] = frozenset()
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._rejoin = asyncio.Event()
        self._coordination: asyncio.Task[None] | None = None
        self._closed = False

    # --- what the session calls ---

    async def start(self) -> None:
        await self._process.call(self._broker, "connect to the broker", _nothing)

    async def topics(self) -> set[str]:
        async def known() -> set[str]:
            return set(self._broker.topics)

        return await self._process.call(self._broker, "topics", known)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self._broker.partitions)) if topic in self._broker.topics else None

    def subscribe(self, topics: Sequence[str], listener: ConsumerRebalanceListener) -> None:
        self._coordination = asyncio.create_task(self._coordinate(list(topics), listener))

    def assignment(self) -> set[TopicPartition]:
        return set(self._assignment)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]:
        if self._closed:
            raise ConsumerStoppedError
        found = await self._fetch(partitions, max_records)
        if not found and timeout_ms:
            await self._broker.arrival(timeout_ms / 1000)
            found = await self._fetch(partitions, max_records)
        return found

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition in self._assignment, "the client lets nobody seek in what is not assigned"
        self._positions[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    async def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        async def offsets() -> dict[TopicPartition, int]:
            return dict.fromkeys(partitions, 0)

        return await self._process.call(self._broker, "beginnings", offsets)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        async def offsets() -> dict[TopicPartition, int]:
            return {each: len(self._broker.logs[each]) for each in partitions}

        return await self._process.call(self._broker, "ends", offsets)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        async def act() -> None:
            if not self._broker.group.speaks_for_its_lanes(self.number, self._generation):
                raise UnknownMember
            self._broker.committed.update(offsets)

        try:
            await self._process.call(self._broker, "commit offsets", act)
        except UnknownMember:
            self.number = None
            self._rejoin.set()
            raise CommitFailedError("the group has rebalanced") from None

    async def leave(self) -> None:
        self._closed = True
        if self._coordination is not None:
            self._coordination.cancel()
            await asyncio.wait([self._coordination])
        if self.number is not None:
            number = self.number

            async def leave() -> None:
                self._broker.group.leave(number)

            await self._process.call(self._broker, "leave the group", leave)

    async def abandon(self) -> None:
        """Nothing more is heard of it; the group evicts the member in time."""
        if self._coordination is not None:
            self._coordination.cancel()
            await asyncio.wait([self._coordination])

    # --- the coordination task ---

    async def _coordinate(self, topics: Sequence[str], listener: ConsumerRebalanceListener) -> None:
        heartbeats: asyncio.Task[None] | None = None
        try:
            while True:
                await listener.on_partitions_revoked(set(self._assignment))
                if heartbeats is not None:
                    heartbeats.cancel()
                assigned = await self._join(topics)
                self._rejoin.clear()
                self._assignment = assigned
                self._positions = {}
                self._paused = set()
                await listener.on_partitions_assigned(set(assigned))
                heartbeats = asyncio.create_task(self._send_heartbeats())
                await self._rejoin.wait()
        finally:
            if heartbeats is not None:
                heartbeats.cancel()

    async def _join(self, topics: Sequence[str]) -> frozenset[TopicPartition]:
        while True:
            member = Member(topics, self._session_seconds, 0.0)

            async def join(member: Member = member) -> frozenset[TopicPartition]:
                self.number, assigned = self._broker.group.join(self.number, member)
                lanes = await assigned
                self._generation = self._broker.group.rebalances
                return lanes

            try:
                return await self._process.call(self._broker, "join", join)
            except KafkaError:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._session_seconds / _HEARTBEATS_A_SESSION)
            try:
                if not await self._process.call(self._broker, "heartbeat", self._heartbeat):
                    self._rejoin.set()
            except UnknownMember:
                self.number = None
                self._rejoin.set()
            except KafkaError:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _heartbeat(self) -> bool:
        if self.number is None:
            raise UnknownMember
        return self._broker.group.heartbeat(self.number)

    # --- fetching ---

    async def _fetch(
        self, partitions: Sequence[TopicPartition], max_records: int | None
    ) -> dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]:
        wanted = [
            each
            for each in partitions or sorted(self._assignment)
            if each in self._positions and each not in self._paused
        ]
        if not any(len(self._broker.logs[each]) > self._positions[each] for each in wanted):
            await self._process.running()
            refusal = self._broker.refuses("fetch")
            if refusal is not None:
                await asyncio.sleep(_RETRY_SECONDS)  # the client tries again by itself, and says nothing
            return {}

        async def read() -> dict[TopicPartition, list[Stored]]:
            still = [each for each in wanted if each in self._positions]
            return {each: self._broker.logs[each][self._positions[each] :] for each in still}

        try:
            answer = await self._process.call(self._broker, "fetch", read)
        except KafkaError:
            await asyncio.sleep(_RETRY_SECONDS)
            return {}
        return self._taken(answer, max_records if max_records is not None else 500)

    def _taken(
        self, answer: Mapping[TopicPartition, Sequence[Stored]], most: int
    ) -> dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]:
        """What of the answer is still wanted: meanwhile partitions were taken away, paused, or sought elsewhere."""
        found: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for partition, records in answer.items():
            at = self._positions.get(partition)
            if at is None or partition in self._paused:
                continue
            fresh = [record for record in records if record.offset >= at][:most]
            if fresh and fresh[0].offset == at:
                most -= len(fresh)
                self._positions[partition] = fresh[-1].offset + 1
                found[partition] = [as_delivered(partition, each) for each in fresh]
        return found


def as_delivered(partition: TopicPartition, stored: Stored) -> "ConsumerRecord[bytes, bytes]":
    size = len(stored.value or b"")
    return ConsumerRecord(
        partition.topic,
        partition.partition,
        stored.offset,
        stored.timestamp_ms,
        _LOG_APPEND_TIME,
        stored.key,
        stored.value,
        None,
        len(stored.key or b""),
        size,
        stored.headers,
    )


async def _nothing(*_: Any) -> None:
    return
