"""PgBouncer in transaction mode before the readers: two server connections for all, and it may be restarted."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.storage.intent import Read
from pipeline.storage.replicas.choice import Condition
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.router import ReplicaReaders
from tests.replicas.bouncer import PROGRAM, bouncer
from tests.replicas.cluster import Cluster, quick_settings
from tests.replicas.load import answered, number, under_load
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not here: apt-get install pgbouncer")


async def test_many_readers_share_its_connections_and_see_only_their_own(cluster: Cluster, tmp_path: Path) -> None:
    """More readers than connections: what one transaction sets must be gone before the next one has its server."""
    with bouncer(tmp_path / "b", cluster.socket("replica1")) as between:
        behind = replace(cluster.endpoints, replica_urls=(between.url,))
        async with open_readers(quick_settings(POOL_STATEMENT_CACHE_SIZE="0"), behind) as readers:
            async with cluster.superuser() as connection:
                await connection.execute("UPDATE read_models.probe SET n = org_id * 1000 WHERE org_id > 50")
            await asyncio.sleep(0.1)

            async def own(org_id: int) -> None:
                for _ in range(5):
                    assert await readers.read(org_id, Read(), number) == org_id * 1_000

            await asyncio.gather(*(own(org_id) for org_id in range(51, 81)))
            assert readers.metrics.replica_share() == 1


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
                await until(lambda: _is(readers, Condition.WELL))
                await asyncio.sleep(0.2)
        assert (load.errors, load.wrong) == ([], [])
        assert answered(readers, "replica1") > 20


async def _is(readers: ReplicaReaders, condition: Condition) -> bool:
    return readers.checks.replicas[0].condition is condition
