"""A replica that still follows a primary that was lost: it may be further on than the new one, and have other books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from pipeline.errors import DatabaseUnavailable
from pipeline.stack.config import PARTS
from pipeline.stack.ports import HOST, choose
from pipeline.stack.postgres import USER
from pipeline.stack.stack import status
from pipeline.storage.intent import Read, ReadYourWrites, Write
from pipeline.storage.replicas.choice import Condition
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.position import ask_position, written
from pipeline.storage.replicas.router import ReplicaReaders
from tests.chaos.link import Link
from tests.replicas.cluster import Cluster, quick_settings, thaw
from tests.replicas.load import answered, number, under_load
from tests.support.waiting import until


@asynccontextmanager
async def _readers_of_the_stray(cluster: Cluster, **overrides: str) -> AsyncIterator[tuple[ReplicaReaders, Link]]:
    """Readers whose primary is reached over a link, and whose one replica will be left behind."""
    link = Link(choose("a link", None, (), ()))
    primary = f"postgresql://{USER}@{HOST}:{link.port}/folio"
    endpoints = replace(cluster.endpoints, database_url=primary, replica_urls=(cluster.replica_urls[1],))
    link.upstream = cluster.socket("postgres")
    async with link.laid(), open_readers(quick_settings(**overrides), endpoints) as readers:
        await until(lambda: _found(readers, Condition.WELL))
        yield readers, link


async def _found(readers: ReplicaReaders, condition: Condition) -> bool:
    return readers.checks.replicas[0].condition is condition


async def _failed_over(cluster: Cluster, link: Link) -> None:
    """The primary is gone, and another one than the stray's is in its place."""
    heir, stray = cluster.replica_urls
    await _leave_behind(cluster, heir, stray)
    cluster.kill("postgres")
    await cluster.promote(heir)
    link.upstream = cluster.socket("replica1")


async def test_between_two_looks_one_on_an_old_timeline_is_out_as_soon_as_a_read_has_met_the_new_primary(
    own_cluster: Cluster,
) -> None:
    """A write's own read goes to the primary, and there it sees that another one is in its place."""
    async with _readers_of_the_stray(own_cluster, REPLICA_HEALTH_CHECK_INTERVAL_SECONDS="300") as (readers, link):
        await _failed_over(own_cluster, link)
        async with own_cluster.superuser(own_cluster.replica_urls[0]) as connection:
            await connection.execute("UPDATE read_models.probe SET n = -7 WHERE org_id = 7")
        assert await _found(readers, Condition.WELL), "nobody has looked since"
        assert await readers.read(7, Write(), number) == -7
        for _ in range(20):
            assert await readers.read(7, Read(), number) == -7
        await until(lambda: _found(readers, Condition.STRANGE))
        assert await readers.read(7, Read(), number) == -7
        assert answered(readers, "replica1") == 0


async def test_between_two_looks_a_replica_of_another_cluster_answers_nobody(
    cluster: Cluster, own_cluster: Cluster
) -> None:
    """Its address leads elsewhere since the last look, and no read has failed meanwhile."""
    async with own_cluster.superuser() as connection:
        await connection.execute("UPDATE read_models.probe SET n = 666")
        mark = await written(connection)

    async def has_it() -> bool:
        return (await ask_position(own_cluster.replica_urls[0], 5)).lsn >= mark.lsn

    await until(has_it)
    link, moving = Link(choose("a link", None, (), ())), Link(choose("another link", None, (), ()))
    primary, replica = (f"postgresql://{USER}@{HOST}:{each.port}/folio" for each in (moving, link))
    endpoints = replace(cluster.endpoints, database_url=primary, replica_urls=(replica,))
    moving.upstream, link.upstream = cluster.socket("postgres"), cluster.socket("replica1")
    settings = quick_settings(REPLICA_HEALTH_CHECK_INTERVAL_SECONDS="300")
    async with link.laid(), moving.laid(), open_readers(settings, endpoints) as readers:
        await until(lambda: _found(readers, Condition.WELL))
        assert await readers.read(8, Read(), number) != 666
        assert answered(readers, "replica1") == 1
        link.upstream = own_cluster.socket("replica1")
        link.reset()
        await asyncio.sleep(0.2)  # the pool has seen that its connections are gone, and makes new ones
        async with cluster.superuser() as connection:
            own = ReadYourWrites(1, (await written(connection)).epoch)
        assert await _found(readers, Condition.WELL), "nobody has looked since"
        found = [await readers.read(8, intent, number) for intent in (Read(), own) * 10]
        assert 666 not in found
        assert answered(readers, "replica1") == 1
        await until(lambda: _found(readers, Condition.STRANGE))
        moving.upstream = own_cluster.socket("replica1")
        moving.reset()
        await asyncio.sleep(0.2)
        with pytest.raises(DatabaseUnavailable, match="leads to a standby"):
            await readers.read(8, Read(), number)


async def test_a_replica_on_an_old_timeline_answers_nobody_and_is_made_anew_by_up(own_cluster: Cluster) -> None:
    heir, stray = own_cluster.replica_urls
    async with _readers_of_the_stray(own_cluster) as (readers, link):
        before = (await ask_position(own_cluster.endpoints.database_url, 5)).epoch
        await _failed_over(own_cluster, link)

        # At once, while the readers still believe that the old primary is there.
        async with own_cluster.superuser(heir) as connection:
            await connection.execute("UPDATE read_models.probe SET n = -7 WHERE org_id = 7")
            mark = await written(connection)
        assert mark.epoch != before
        assert (await ask_position(stray, 5)).lsn > mark.lsn, "by its position alone it would have what was written"
        assert await readers.read(7, mark, number) == -7

        await until(lambda: _found(readers, Condition.STRANGE))
        assert await readers.read(7, Read(), number) == -7
        frozen = own_cluster.freeze("replica2")
        async with under_load(readers, heir) as load:
            try:
                await until(lambda: _found(readers, Condition.SILENT))
            finally:
                thaw(frozen)
            await until(lambda: _found(readers, Condition.STRANGE))
            await asyncio.sleep(0.1)
        assert (load.errors, load.wrong) == ([], [])
        assert load.reads > 50
    await _all_follow_again(own_cluster)


async def _leave_behind(cluster: Cluster, heir: str, stray: str) -> None:
    """The heir hears no more; what the primary still writes only the other one has."""
    await cluster.cut_off(heir)
    async with cluster.superuser() as connection:
        for n in range(200):
            await connection.execute("UPDATE read_models.probe SET n = $1", n)
        lost = await written(connection)

    async def has_them() -> bool:
        return (await ask_position(stray, 5)).lsn >= lost.lsn

    await until(has_them)


async def _all_follow_again(cluster: Cluster) -> None:
    """The stack's own primary comes back; what was promoted is no replica of it, and is made anew."""
    await cluster.mended()
    parts = status(cluster.config)
    assert all(part.well for part in parts)
    urls = [part.address for part in parts if part.part not in PARTS or part.part == "postgres"]
    assert len({(await ask_position(url, 5)).epoch for url in urls}) == 1
    assert [(await ask_position(url, 5)).in_recovery for url in urls] == [False, True, True]
