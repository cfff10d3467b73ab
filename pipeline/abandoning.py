"""The end of a Kafka client without the broker's help: its tasks cancelled, its connections cut.

A client's own `stop` ends one part after the other, and begins with the one that may wait for the broker for ever.
Interrupted there, it leaves the rest running, and does nothing when it is called again. Closing a connection waits too:
until what was written is sent, and over TLS until the other side has said its farewell.
"""
# ruff: noqa: SLF001 - the parts of a client have no public names

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import CloseReason

_SECONDS_MAX: Final = 1.0  # a task that does not end within it does not hear that it is cancelled
_ROUNDS: Final = 2  # a part that is cancelled may have begun something new with its last breath


async def abandon_consumer(consumer: AIOKafkaConsumer) -> None:
    """The group hears nothing, and evicts the member when its session has timed out."""
    consumer._closed = True
    await _end(consumer._client, (consumer._fetcher, consumer._coordinator))


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """What was not delivered stays undelivered: nobody may wait for it any more."""
    producer._closed = True
    await _end(producer.client, (producer._sender, producer._message_accumulator))


async def _end(client: AIOKafkaClient, parts: Sequence[object]) -> None:
    for _ in range(_ROUNDS):
        # Before the cut: who waits for an answer is told of it by an error, and nobody would look at that.
        tasks = list(_tasks_of((client, *client._conns.values(), *parts)))
        for task in tasks:
            task.cancel()
        for connection in tuple(client._conns.values()):
            _cut(connection)
        if tasks:
            await asyncio.wait(tasks, timeout=_SECONDS_MAX)


def _tasks_of(parts: Sequence[object]) -> Iterator["asyncio.Task[Any]"]:
    """Every task that runs a method of one of these: a client keeps some of its tasks where nobody else finds them."""
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        owner = frame.f_locals.get("self") if frame is not None else None
        if owner is not None and any(owner is part for part in parts):
            yield task


def _cut(connection: Any) -> None:
    writer = connection._writer
    connection.close(reason=CloseReason.SHUTDOWN)
    if writer is not None:
        writer.transport.abort()
