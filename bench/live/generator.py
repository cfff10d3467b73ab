"""Sends at a rate that the clock alone decides, from a process of its own.

Open loop: event n is due at start + n / rate, whatever became of the events before it, and its latency counts from
then. A broker, or this very process, that stalls for a second makes a thousand events late, and not one of them early:
that is what "free of coordinated omission" means (Gil Tene, "How NOT to Measure Latency").
"""

import gc
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered

from bench.generating import Generator as Messages
from bench.live.own_process import OwnProcess
from bench.live.schedule import Message, Scheduler
from bench.loading import quiet
from bench.workload import Census, Workload

_TICK_SECONDS: Final = 0.0005
# What is due at once after a stall goes out in pieces of this size, with a look at the acknowledgements between.
_PIECE: Final = 200
_FLUSH_SECONDS_MAX: Final = 60.0
# A producer of today: a moment of gathering (the default of Kafka 4), idempotent, acknowledged by every replica.
_PRODUCER: Final = {"linger.ms": 5, "acks": "all", "enable.idempotence": True, "compression.type": "lz4"}
_CLIENT: Final = {**_PRODUCER, "queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 1 << 20}


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the next `events` messages, and write their schedule down."""

    events: int
    schedule: Path


@dataclass(frozen=True, slots=True)
class Send:
    """Send what was prepared: message n at `start_ns` + n / `rate` (nanoseconds of the wall clock)."""

    rate: float
    start_ns: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Say what was made so far, and what that and the sending of it took."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of the workload's description until now."""

    census: Census
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it. `behind_ms_max`: how late the process itself handed a message to its client, at worst."""

    events: int
    seconds: float
    behind_ms_max: float


def serve(pipe: "Connection", bootstrap: str, topic: str, lanes: int, workload: Workload) -> None:
    """The generator's process: does what it is told until it is told None. Answers each with Sent, None or an error."""
    making = Messages(workload)
    scheduler = Scheduler(making.events(), lanes)
    producer = Producer({**quiet(bootstrap), "client.id": "bench-live", **_CLIENT})
    messages: list[Message] = []
    partitions: list[int] = []
    while (command := pipe.recv()) is not None:
        try:
            if isinstance(command, Prepare):
                messages, schedule = scheduler.take(command.events)
                partitions = list(schedule.lanes)
                schedule.save(command.schedule)
                # Nothing of it is garbage before the end: a collection in the middle would be a stall of our own.
                gc.freeze()
                pipe.send(None)
            elif isinstance(command, Tell):
                pipe.send(Made(making.census(), time.process_time()))
            else:
                pipe.send(_send(producer, topic, messages, partitions, command))
                gc.unfreeze()
        except (ValueError, KafkaException) as error:
            pipe.send(error)


def _send(producer: Producer, topic: str, messages: list[Message], partitions: list[int], order: Send) -> Sent:
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Delivered) -> None:
        if error is not None:
            failures.append(error)

    sent, behind_ns = 0, 0
    while sent < len(messages):
        due_in_ns = order.start_ns + int(sent * 1e9 / order.rate) - time.time_ns()
        if due_in_ns > 0:
            producer.poll(0)
            time.sleep(max(min(due_in_ns / 1e9, 0.05), _TICK_SECONDS))
            continue
        behind_ns = max(behind_ns, -due_in_ns)
        due = min(_due(order, len(messages)), sent + _PIECE)
        for turn in range(sent, due):
            key, value = messages[turn]
            producer.produce(topic, value, key, partitions[turn], on_delivery=delivered)
        sent = due
        producer.poll(0)
    seconds = (time.time_ns() - order.start_ns) / 1e9
    unsent = producer.flush(_FLUSH_SECONDS_MAX)
    if failures or unsent:
        raise ValueError(f"{unsent} messages were not acknowledged, {len(failures)} refused: {failures[:1]}")
    return Sent(sent, seconds, behind_ns / 1e6)


def _due(order: Send, most: int) -> int:
    """How many messages are due by now."""
    return min(int((time.time_ns() - order.start_ns) * order.rate / 1e9) + 1, most)


class Generator(OwnProcess):
    """The process, as the scenario holds it. Use it as a context."""

    def __init__(self, bootstrap: str, topic: str, lanes: int, workload: Workload) -> None:
        super().__init__(serve, bootstrap, topic, lanes, workload)

    def prepare(self, events: int, schedule: Path) -> None:
        """Have the next messages made. Raises ValueError when the workload has no more of them."""
        self._pipe.send(Prepare(events, schedule))
        self._answer()

    def begin(self, rate: float, start_ns: int) -> None:
        """Have them sent from `start_ns` on; `ended` tells when they are."""
        self._pipe.send(Send(rate, start_ns))

    def sending(self) -> bool:
        """Whether it still sends. A process that died does not, and `ended` says so."""
        return self._process.is_alive() and not self._pipe.poll()

    def ended(self) -> Sent:
        """What was sent. Waits until it is. Raises ValueError when something was not acknowledged."""
        sent = self._answer()
        assert isinstance(sent, Sent)
        return sent

    def made(self) -> Made:
        """What was made so far."""
        self._pipe.send(Tell())
        made = self._answer()
        assert isinstance(made, Made)
        return made

    def _answer(self) -> object:
        try:
            answer = self._pipe.recv()
        except EOFError as error:
            raise ValueError("the generator's process died") from error
        if isinstance(answer, Exception):
            raise answer
        return answer
