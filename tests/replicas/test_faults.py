"""Replicas that are killed, stall and lag under read load: no error, and nobody misses what he wrote.

FOLIO_TEST_REPLICA_ROUNDS strikes each replica so many times with each.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pipeline.stack.config import REPLICAS, PartName
from pipeline.storage.replicas.choice import Condition
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.router import ReplicaReaders
from tests.replicas.cluster import Cluster, quick_settings, thaw
from tests.replicas.load import answered, told, under_load
from tests.support.waiting import until

ROUNDS = int(os.environ.get("FOLIO_TEST_REPLICA_ROUNDS", "1"))


@asynccontextmanager
async def killed(cluster: Cluster, part: PartName) -> AsyncIterator[Condition]:
    cluster.kill(part)
    try:
        yield Condition.SILENT
    finally:
        await cluster.mended()


@asynccontextmanager
async def stalled(cluster: Cluster, part: PartName) -> AsyncIterator[Condition]:
    frozen = cluster.freeze(part)
    try:
        yield Condition.SILENT
    finally:
        thaw(frozen)


@asynccontextmanager
async def lagging(cluster: Cluster, part: PartName) -> AsyncIterator[Condition]:
    async with cluster.superuser(cluster.replica_urls[REPLICAS.index(part)]) as connection:
        await connection.execute("SELECT pg_wal_replay_pause()")
        try:
            yield Condition.TOO_LATE
        finally:
            await connection.execute("SELECT pg_wal_replay_resume()")


Fault = Callable[[Cluster, PartName], AbstractAsyncContextManager[Condition]]
FAULTS: dict[str, Fault] = {"killed": killed, "stalled": stalled, "lagging": lagging}


async def struck(fault: Fault, cluster: Cluster, place: int, readers: ReplicaReaders) -> None:
    """From the moment it strikes until the replica, whole again, has answered reads."""
    name = REPLICAS[place]

    async def has(condition: Condition) -> bool:
        return readers.checks.replicas[place].condition is condition

    async with fault(cluster, name) as found:
        await until(lambda: has(found))
    await until(lambda: has(Condition.WELL), 30)
    before = answered(readers, name)

    async def answers_again() -> bool:
        return answered(readers, name) > before

    await until(answers_again)


@pytest.mark.timeout(60 + 60 * ROUNDS)
async def test_no_read_fails_and_none_misses_what_its_caller_wrote(cluster: Cluster) -> None:
    async with (
        open_readers(quick_settings(), cluster.endpoints) as readers,
        under_load(readers, cluster.endpoints.database_url) as load,
    ):
        faults = [(name, place) for _ in range(ROUNDS) for place in (0, 1) for name in FAULTS]
        for name, place in faults:
            await struck(FAULTS[name], cluster, place, readers)
        await asyncio.sleep(0.1)
    print(told(load, [f"{REPLICAS[place]} {name}" for name, place in faults]))
    assert load.errors == []
    assert load.wrong == []
    assert load.reads > 100
    assert readers.metrics.replica_share() > 0.5
