"""Producers: a steady rate of records to the broker's own port, whatever becomes of everyone else."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from bench.loading import PRODUCER, quiet
from schemas.topics import Feed
from tests.chaos.records import Outgoing, Records

_TICK_SECONDS: Final = 0.01
# A broker that is down for long must not be met by minutes of arrears: producers wait instead.
_UNACKNOWLEDGED_MAX: Final = 20_000
_FLUSH_SECONDS_MAX: Final = 60.0
_BY_KEY: Final = -1  # librdkafka's own number for "whichever the partitioner says"

Burst = Callable[[Records], Sequence[Outgoing]]


class LoadBroken(Exception):
    """The broker did not take what was sent: nothing can be said about those who consume it."""


class Load:
    """Sends until it is ended. Every record is acknowledged by then, or the load is broken."""

    def __init__(self, bootstrap: str, prefix: str, records: Records) -> None:
        self.records = records
        self.sent = 0
        self._topics = {feed: prefix + feed for feed in Feed}
        settings = PRODUCER | quiet(bootstrap) | {"queue.buffering.max.messages": _UNACKNOWLEDGED_MAX}
        self._producer = Producer(settings, error_cb=_passing)
        self._bursts: deque[Burst] = deque()
        self._refused: list[str] = []
        self._ended = threading.Event()
        self._patient_until = 0.0  # once it is ended
        self._sending: asyncio.Task[None] | None = None

    def begin(self, events_per_second: int) -> None:
        """Send at this rate from now on."""
        assert self._sending is None
        self._ended.clear()
        self._sending = asyncio.create_task(asyncio.to_thread(self._send, events_per_second))

    def inject(self, burst: Burst) -> None:
        """Send these as soon as possible, before what comes next. They are made by the thread that sends."""
        self._bursts.append(burst)

    async def end(self) -> None:
        """Send no more, and wait for every acknowledgement. Raises LoadBroken."""
        if self._sending is None:
            return
        self._patient_until = time.monotonic() + _FLUSH_SECONDS_MAX
        self._ended.set()
        sending, self._sending = self._sending, None
        await sending
        left = await asyncio.to_thread(self._producer.flush, _FLUSH_SECONDS_MAX)
        if left or self._refused:
            raise LoadBroken(f"{left} records were not acknowledged, {len(self._refused)} refused: {self._refused[:3]}")

    async def abandon(self) -> None:
        """Send no more, and wait for nobody."""
        self._ended.set()
        self._bursts.clear()
        sending, self._sending = self._sending, None
        if sending is not None:
            await sending
        self._producer.purge()

    def _send(self, events_per_second: int) -> None:
        source = iter(self.records)
        a_tick = max(1, round(events_per_second * _TICK_SECONDS))
        while not self._ended.is_set() or self._bursts:
            began = time.monotonic()
            while self._bursts:
                for record in self._bursts.popleft()(self.records):
                    self._produce(record)
            for _ in range(a_tick):
                self._produce(next(source))
            self._producer.poll(0)
            # Turns that were missed are not made up for: a rate, not a backlog.
            self._ended.wait(max(0.0, began + _TICK_SECONDS - time.monotonic()))

    def _produce(self, record: Outgoing) -> None:
        partition = _BY_KEY if record.partition is None else record.partition
        while True:
            try:
                self._producer.produce(
                    self._topics[record.feed], record.value, record.key, partition, on_delivery=self._delivered
                )
            except BufferError:  # as many wait as may: for the broker, or for its acknowledgements
                self._producer.poll(0.05)
                if self._ended.is_set() and time.monotonic() > self._patient_until:
                    self._refused.append("the broker takes nothing")
                    return
            except KafkaException as error:
                self._refused.append(str(error))
                return
            else:
                self.sent += 1
                return

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._refused.append(str(error))


def _passing(_error: KafkaError) -> None:
    """Brokers come and go here; what matters is what becomes of each record."""
