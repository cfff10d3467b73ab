"""PgBouncer in transaction mode before the readers: two server connections for all, and it may be restarted."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.storage.intent import Read, Write
from pipeline.storage.replicas.choice import Condition
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.position import ask_position, written
from pipeline.storage.replicas.router import ReplicaReaders
from tests.replicas.bouncer import PROGRAM, bouncer
from tests.replicas.cluster import Cluster, quick_settings
from tests.replicas.load import answered, number, under_load
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not here: apt-get install pgbouncer")


@pytest.mark.parametrize("intent", [Read(), Write()])
async def test_many_readers_share_its_connections_and_see_only_their_own(
    cluster: Cluster, tmp_path: Path, intent: Read | Write
) -> None:
    """More readers than connections: what one transaction sets must be gone before the next one has its server."""
    async with cluster.superuser() as connection:
        await connection.execute("UPDATE read_models.probe SET n = org_id * 1000 WHERE org_id > 50")
        mark = await written(connection)

    async def replayed() -> bool:
        return (await ask_position(cluster.replica_urls[0], 5)).lsn >= mark.lsn

    await until(replayed)
    with (
        bouncer(tmp_path / "primary", cluster.socket("postgres")) as primary,
        bouncer(tmp_path / "replica", cluster.socket("replica1")) as replica,
    ):
        behind = replace(cluster.endpoints, database_url=primary.url, replica_urls=(replica.url,))
        async with open_readers(quick_settings(POOL_STATEMENT_CACHE_SIZE="0"), behind) as readers:

            async def own(org_id: int) -> None:
                for _ in range(5):
                    assert await readers.read(org_id, intent, number) == org_id * 1_000

            await asyncio.gather(*(own(org_id) for org_id in range(51, 81)))
            share = readers.metrics.replica_share()
            assert share > 0.5 if intent == Read() else share == 0


async def test_its_restart_under_read_load_is_no_error(cluster: Cluster, tmp_path: Path) -> None:
    with bouncer(tmp_path / "b", cluster.socket("replica1")) as between:
        behind = replace(cluster.endpoints, replica_urls=(between.url, cluster.replica_urls[1]))
        settings = quick_settings(POOL_STATEMENT_CACHE_SIZE="0")
        async with (
            open_readers(settings, behind) as readers,
            under_load(readers, cluster.endpoints.database_url) as load,
        ):
            for _ in range(2):
                await asyncio.to_thread(between.kill)
                await until(lambda: _is(readers, Condition.SILENT))
                await asyncio.to_thread(between.start)
                await until(lambda: _is(readers, Condition.WELL), 30)
                await _answers_again(readers)
        assert (load.errors, load.wrong) == ([], [])


async def _answers_again(readers: ReplicaReaders) -> None:
    before = answered(readers, "replica1")

    async def more() -> bool:
        return answered(readers, "replica1") > before

    await until(more)


async def _is(readers: ReplicaReaders, condition: Condition) -> bool:
    return readers.checks.replicas[0].condition is condition
