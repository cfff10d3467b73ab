"""A subscriber: takes realtime updates as they come, and notes when. From a process of its own.

It notes what it needs to resolve afterwards, and does no more: work done here would be latency.
"""

import gc
import multiprocessing
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from bench.live.own_process import OwnProcess
from bench.live.schedule import DayKey, turn_of
from bench.loading import quiet

_PIECE: Final = 500
_POLL_SECONDS: Final = 0.05
_BROKER_SECONDS_MAX: Final = 30.0


class _Update(msgspec.Struct, frozen=True, gc=False):
    """As much of an update as is noted."""

    org_id: int
    property_id: int
    balance_date: date
    changed_at: datetime
    event_id: UUID | None


_decode: Final = msgspec.json.Decoder(_Update).decode


class Arrival(NamedTuple):
    """An update as it came: when (wall clock), of which day, caused by which turn, and stamped when."""

    at_ns: int
    day: DayKey
    turn: int
    changed_at_ns: int


@dataclass(slots=True)
class Arrivals:
    """Every update that came, in order; columns, because there may be a million."""

    columns: tuple["array[int]", ...] = field(default_factory=lambda: tuple(array("q") for _ in range(6)))

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[Arrival]:
        for at_ns, org_id, property_id, day, turn, changed_at_ns in zip(*self.columns, strict=True):
            yield Arrival(at_ns, (org_id, property_id, day), turn, changed_at_ns)

    def add(self, arrival: Arrival) -> None:
        values = (arrival.at_ns, *arrival.day, arrival.turn, arrival.changed_at_ns)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.msgpack.encode([column.tobytes() for column in self.columns]))

    @classmethod
    def load(cls, path: Path) -> "Arrivals":
        arrivals = cls()
        contents = msgspec.msgpack.decode(path.read_bytes(), type=list[bytes])
        for column, content in zip(arrivals.columns, contents, strict=True):
            column.frombytes(content)
        return arrivals


def serve(pipe: "Connection", stop: "Event", bootstrap: str, topic: str) -> None:
    """The receiver's process. Told a path, it receives until `stop` is set, and writes there what came. None ends it.

    It answers each path twice: when it stands at the end of the topic, and when the file is written.
    """
    consumer = Consumer(
        {
            **quiet(bootstrap),
            "group.id": "bench-live-receiver",  # asked for by the client; the group is never joined
            "enable.auto.commit": False,
            "client.id": "bench-live-receiver",
        }
    )
    gc.disable()  # columns and frozen values: nothing here forms a cycle
    while (path := pipe.recv()) is not None:
        _at_the_end(consumer, topic)
        pipe.send(None)
        arrivals = Arrivals()
        while not stop.is_set():
            _receive(consumer, arrivals)
        arrivals.save(path)
        pipe.send(len(arrivals))
    consumer.close()


def _at_the_end(consumer: Consumer, topic: str) -> None:
    metadata = consumer.list_topics(topic, timeout=_BROKER_SECONDS_MAX).topics[topic]
    ends = []
    for partition in metadata.partitions:
        low_high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_BROKER_SECONDS_MAX)
        assert low_high is not None
        ends.append(TopicPartition(topic, partition, low_high[1]))
    consumer.assign(ends)


def _receive(consumer: Consumer, arrivals: Arrivals) -> None:
    """What is there now, or the next. `consume(500, timeout)` would wait until it has all 500."""
    first = consumer.poll(_POLL_SECONDS)
    if first is None:
        return
    _note(first, arrivals)
    for message in consumer.consume(_PIECE, 0):
        _note(message, arrivals)


def _note(message: Message, arrivals: Arrivals) -> None:
    value = message.value()
    if message.error() is not None or value is None:
        return
    at_ns = time.time_ns()
    update = _decode(value)
    arrivals.add(
        Arrival(
            at_ns,
            (update.org_id, update.property_id, update.balance_date.toordinal()),
            turn_of(update.event_id) if update.event_id is not None else -1,
            int(update.changed_at.timestamp() * 1e6) * 1_000,
        )
    )


class Receiver(OwnProcess):
    """The process, as the scenario holds it. Use it as a context."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._stop = multiprocessing.get_context("spawn").Event()
        super().__init__(serve, self._stop, bootstrap, topic)

    def __exit__(self, *why: object) -> None:
        self._stop.set()
        super().__exit__(*why)

    def begin(self, path: Path) -> None:
        """Receive what comes from now on. Returns when it stands at the end of the topic."""
        self._stop.clear()
        self._pipe.send(path)
        self._pipe.recv()

    def end(self, path: Path) -> Arrivals:
        """No more is received: what came since `begin`."""
        self._stop.set()
        self._pipe.recv()
        return Arrivals.load(path)
