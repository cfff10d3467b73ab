"""Filling a topic with a workload before anything is measured, by a process of its own.

The process is a generator and nothing else, so that its CPU can be told apart from that of what is measured. One
producer: per key, and so per partition, messages arrive in the order in which they were made.
"""

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final, Literal

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from bench.generating import Generator
from bench.workload import Census, Workload

_FLUSH_SECONDS_MAX: Final = 120.0
_POLL_EVERY: Final = 500
# librdkafka's own queue: it hands over in batches of up to a megabyte.
PRODUCER: Final[dict[str, str | int | float | bool]] = {
    "acks": "all",
    "enable.idempotence": True,
    # Kafka's default partitioner. librdkafka's own default, CRC32, would send nearly every event past its home lane.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1 << 20,
    "queue.buffering.max.messages": 200_000,
}


# The history is booked before a round begins; the events are what the round measures.
Part = Literal["history", "events"]


class Loaded(msgspec.Struct, frozen=True):
    """A part of a workload in its topic. The census is that of the part alone."""

    census: Census
    seconds: float
    generator_cpu_seconds: float

    @property
    def events(self) -> int:
        """How many messages were sent."""
        return self.census.messages


class NotLoadedError(Exception):
    """A topic could not be filled: nothing can be measured on it."""


def quiet(bootstrap: str) -> dict[str, str | int | float | bool]:
    """What every client of librdkafka is given: its passing troubles are not ours, and errors come as exceptions."""
    return {"bootstrap.servers": bootstrap, "log_level": 2}


def load(bootstrap: str, topic: str, workload: Workload, part: Part = "events") -> Loaded:
    """Send a part of the workload and wait for every acknowledgement. Raises NotLoadedError."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return processes.submit(_load, bootstrap, topic, workload, part).result()


def _load(bootstrap: str, topic: str, workload: Workload, part: Part) -> Loaded:
    began = time.monotonic()
    generator = Generator(workload)
    _send(bootstrap, topic, generator.history() if part == "history" else generator.events_after_history())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Loaded(generator.census(), time.monotonic() - began, usage.ru_utime + usage.ru_stime)


def _send(bootstrap: str, topic: str, messages: Iterator[tuple[bytes, bytes]]) -> None:
    failed: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(str(error))

    producer = Producer(PRODUCER | quiet(bootstrap))
    sent = 0
    for key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered)
                break
            except BufferError:  # its queue is full: let it hand over
                producer.poll(0.1)
        sent += 1
        if sent % _POLL_EVERY == 0:
            producer.poll(0)
    left = producer.flush(_FLUSH_SECONDS_MAX)
    if failed or left:
        raise NotLoadedError(f"{topic}: of {sent:,} messages {left or len(failed):,} were not taken: {failed[:1]}")
