"""A producer for commands that send to the stream's own topics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiokafka.errors import KafkaError

from pipeline.producer import Producer, new_producer
from pipeline.topics import lane_count
from pipeline.translate import broker_errors

_CLOSE_SECONDS: Final = 5.0


@asynccontextmanager
async def running_producer(bootstrap: str, topic_prefix: str, name: str) -> AsyncIterator[Producer]:
    """Started within the block. Raises BrokerUnavailable, and TopicMismatch where the topics are not there."""
    # A client that is told to send to a topic which does not exist may create it, with wrong settings.
    await lane_count(bootstrap, topic_prefix)
    producer = new_producer(bootstrap, name)
    with broker_errors("connecting to the broker"):
        await producer.start()
    try:
        yield producer
    finally:
        # Whatever counts was acknowledged, or told as lost, before: how the client ends changes nothing of that.
        with suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(producer.stop(), _CLOSE_SECONDS)
