"""What a Kafka client leaves behind when it could not be stopped: its tasks and its connections, ended here.

A client's own `stop` ends one part after the other, each with the broker's help, and begins with the one that may wait
for ever. Interrupted there, it leaves the rest running, and does nothing when it is called again.
"""
# ruff: noqa: SLF001 - the parts that are left have no public names

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator

_SECONDS_MAX: Final = 1.0  # a task that does not end within it does not hear that it is cancelled

Task = asyncio.Task[Any]


async def abandon_consumer(consumer: AIOKafkaConsumer) -> None:
    """The group hears nothing, and evicts the member when its session has timed out."""
    consumer._closed = True
    fetcher, coordinator = consumer._fetcher, consumer._coordinator
    tasks: list[Task | None] = []
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
    if isinstance(coordinator, GroupCoordinator):
        tasks += [coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task]
    await _abandon(consumer._client, tasks)


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """What was not delivered stays undelivered: nobody may wait for it any more."""
    producer._closed = True
    await _abandon(producer.client, [producer._sender.sender_task])


async def _abandon(client: AIOKafkaClient, tasks: Iterable[Task | None]) -> None:
    keeping_metadata, client._sync_task = client._sync_task, None  # what it may have died of, `close` would raise
    living = {task for task in (keeping_metadata, *tasks) if task is not None and not task.done()}
    for task in living:
        task.cancel()
    _answer_for_metadata(client)
    await client.close()  # who waits for an answer has one now
    if living:
        await asyncio.wait(living, timeout=_SECONDS_MAX)
    await client.close()  # of what was connected again meanwhile


def _answer_for_metadata(client: AIOKafkaClient) -> None:
    """Whoever waits for metadata hears that there are none, as will whoever asks from now on."""
    waiting, client._md_update_fut = client._md_update_fut, asyncio.get_running_loop().create_future()
    for future in (waiting, client._md_update_fut):
        if future is not None and not future.done():
            future.set_result(False)
