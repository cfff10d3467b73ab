"""The chain over a failover that loses commits: a worker under way, its primary killed, a standby that takes over."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from pipeline.stack.ports import HOST, choose
from pipeline.stack.postgres import USER
from pipeline.storage.migrate import migrate
from pipeline.storage.replicas.position import ask_position, written
from pipeline.tamper.told import told_heads
from schemas.topics import CHAIN_HEADS
from tests.chaos.link import Link
from tests.replicas.cluster import Cluster
from tests.support.events import encoded, event
from tests.support.starting import forked
from tests.support.stream import Message, Stream, new_topics
from tests.support.waiting import until
from tests.tamper.test_verify_chain import verdict_of

EVENTS = 30
DATABASE = "chained"


def messages(first: int, last: int) -> list[Message]:
    """Events by number, of four organisations in turn."""
    return [
        (str(n % 4 + 1).encode(), encoded(event(n, org=n % 4 + 1, at=datetime.now(UTC))))
        for n in range(first, last + 1)
    ]


@asynccontextmanager
async def stream_over(cluster: Cluster, link: Link, folder: Path) -> AsyncIterator[Stream]:
    """A stream whose database is reached over a link, as over an address that moves with the primary."""
    link.upstream = cluster.socket("postgres")
    async with link.laid():
        server = f"postgresql://{USER}@{HOST}:{link.port}"
        async with cluster.superuser() as connection:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        url = f"{server}/{DATABASE}"
        connection = await asyncpg.connect(url)
        await migrate(connection)
        await connection.close()
        stream = Stream(replace(cluster.endpoints, database_url=url), f"{DATABASE}.", 2, folder, {}, forked)
        await new_topics(stream.endpoints, stream.prefix, stream.lanes)
        yield stream


async def test_a_failover_that_lost_links_goes_on_with_the_chain_under_the_new_epoch(
    own_cluster: Cluster, tmp_path: Path
) -> None:
    heir, _ = own_cluster.replica_urls
    link = Link(choose("a link", None, (), ()))
    async with stream_over(own_cluster, link, tmp_path) as stream:
        with stream.worker() as worker:
            await stream.send(messages(1, 10))
            await stream.wait_until_consumed(10)
            before = await verdict_of(stream)
            await _heard(stream, heir)
            await own_cluster.cut_off(heir)
            await stream.send(messages(11, 20))  # told to the topic, and lost with the primary
            await stream.wait_until_consumed(20)
            lost = (await verdict_of(stream)).links - before.links
            own_cluster.kill("postgres")
            await own_cluster.promote(heir)
            link.upstream = own_cluster.socket("replica1")
            await stream.send(messages(21, EVENTS))
            await stream.wait_until_consumed(EVENTS)
            await worker.stop()
        after = await verdict_of(stream)
        old, new = await _timelines(stream)
        assert (after.findings, after.events) == ([], EVENTS)
        assert (after.heads_agreed, after.heads_waiting) == (after.links, 0)
        assert lost > 0
        assert after.lost_heads == {old: lost}
        assert await _told(stream) == {old: before.links + lost, new: after.links - before.links}
        assert (await stream.prove()).exit_code == 0


async def _heard(stream: Stream, heir: str) -> None:
    """The heir has what was committed so far."""
    async with stream.database() as connection:
        mark = await written(connection)

    async def has_it() -> bool:
        return (await ask_position(heir, 5)).lsn >= mark.lsn

    await until(has_it)


async def _timelines(stream: Stream) -> list[str]:
    """Those on which the chain's links were made, in their order."""
    async with stream.database() as connection:
        rows = await connection.fetch(
            "SELECT cluster_epoch FROM event_store.chain_links GROUP BY 1 ORDER BY max(first_recorded_at)"
        )
    return [row["cluster_epoch"] for row in rows]


async def _told(stream: Stream) -> dict[str, int]:
    """How many heads of each timeline are on the topic."""
    count: Counter[str] = Counter()
    async with told_heads(stream.endpoints.kafka_bootstrap, stream.prefix + CHAIN_HEADS) as told:
        for lane in range(stream.lanes):
            survey = await told.survey(lane)
            for stretch in survey.offsets:
                count.update(epoch for _, epoch in (await told.heads(survey, stretch)).told)
    return dict(count)
