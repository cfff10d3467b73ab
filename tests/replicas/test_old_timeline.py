"""A replica that still follows a primary that was lost: it may be further on than the new one, and have other books."""

import asyncio
from dataclasses import replace

from pipeline.stack.config import PARTS
from pipeline.stack.ports import HOST, choose
from pipeline.stack.postgres import USER
from pipeline.stack.stack import status
from pipeline.storage.intent import Read, ReadYourWrites
from pipeline.storage.replicas.choice import Condition
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.position import ask_position, written
from tests.chaos.link import Link
from tests.replicas.cluster import Cluster, quick_settings, thaw
from tests.replicas.load import number, under_load
from tests.support.waiting import until

_PROMOTION_SECONDS = 20


async def test_a_replica_on_an_old_timeline_answers_nobody_and_is_made_anew_by_up(own_cluster: Cluster) -> None:
    heir, stray = own_cluster.replica_urls
    link = Link(choose("a link", None, (), ()))
    primary = f"postgresql://{USER}@{HOST}:{link.port}/folio"
    endpoints = replace(own_cluster.endpoints, database_url=primary, replica_urls=(stray,))
    link.upstream = own_cluster.socket("postgres")
    async with link.laid(), open_readers(quick_settings(), endpoints) as readers:

        async def found(condition: Condition) -> bool:
            return readers.checks.replicas[0].condition is condition

        await until(lambda: found(Condition.WELL))
        before = (await ask_position(primary, 5)).epoch
        await _leave_behind(own_cluster, heir, stray)
        own_cluster.kill("postgres")
        async with own_cluster.superuser(heir) as connection:
            assert await connection.fetchval("SELECT pg_promote(true, $1)", _PROMOTION_SECONDS)
        link.upstream = own_cluster.socket("replica1")

        # At once, while the readers still believe that the old primary is there.
        async with own_cluster.superuser(heir) as connection:
            await connection.execute("UPDATE read_models.probe SET n = -7 WHERE org_id = 7")
            mark = await written(connection)
        assert mark.epoch != before
        assert (await ask_position(stray, 5)).lsn > mark.lsn, "by its position alone it would have what was written"
        assert await readers.read(7, mark, number) == -7

        await until(lambda: found(Condition.STRANGE))
        assert await readers.read(7, ReadYourWrites(mark.lsn), number) == -7
        assert await readers.read(7, Read(), number) == -7
        frozen = own_cluster.freeze("replica2")
        async with under_load(readers, heir) as load:
            try:
                await until(lambda: found(Condition.SILENT))
            finally:
                thaw(frozen)
            await until(lambda: found(Condition.STRANGE))
            await asyncio.sleep(0.1)
        assert (load.errors, load.wrong) == ([], [])
        assert load.reads > 50
    await _all_follow_again(own_cluster)


async def _leave_behind(cluster: Cluster, heir: str, stray: str) -> None:
    """The heir hears no more; what the primary still writes only the other one has."""
    async with cluster.superuser(heir) as connection:
        await connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        await connection.execute("SELECT pg_reload_conf()")

        async def heard_no_more() -> bool:
            return not await connection.fetchval("SELECT count(*) FROM pg_stat_wal_receiver")

        await until(heard_no_more)
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
