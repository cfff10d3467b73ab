"""Reads on real servers: where they go, what they may see, and how they end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from pipeline.errors import BatchTooSlow, DatabaseUnavailable, PoolExhausted, SettingsRefused
from pipeline.stack.ports import HOST, choose
from pipeline.stack.postgres import USER
from pipeline.storage.intent import Read, ReadYourWrites, Write
from pipeline.storage.readers import Readers
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.position import ask_position, position_of, written
from pipeline.storage.replicas.router import ReplicaReaders
from tests.chaos.link import Link
from tests.replicas.cluster import Cluster, quick_settings
from tests.replicas.load import answered, number
from tests.support.waiting import until

Opened = Callable[..., Awaitable[ReplicaReaders]]


@asynccontextmanager
async def opened(cluster: Cluster, **overrides: str) -> AsyncIterator[ReplicaReaders]:
    async with open_readers(quick_settings(**overrides), cluster.endpoints) as readers:
        yield readers


async def where(connection: asyncpg.Connection) -> bool:
    """Whether a standby answers."""
    found: bool = await connection.fetchval("SELECT pg_is_in_recovery()")
    return found


async def process(connection: asyncpg.Connection) -> int:
    found: int = await connection.fetchval("SELECT pg_backend_pid()")
    return found


async def knows_the_primary(readers: ReplicaReaders) -> bool:
    return readers.checks.history is not None


async def of_anyone(readers: Readers) -> bool:
    """As the repositories read: they know the protocol alone."""
    return await readers.read(1, Read(), where)


async def test_reads_take_turns_and_what_decides_about_a_write_goes_to_the_primary(cluster: Cluster) -> None:
    async with opened(cluster) as readers:
        assert all([await of_anyone(readers) for _ in range(10)])
        assert not await readers.read(1, Write(), where)
        assert [answered(readers, name) for name in ("replica1", "replica2", "primary")] == [5, 5, 1]
        assert readers.metrics.replica_share() == pytest.approx(10 / 11)


async def test_without_replicas_or_with_the_flag_off_everything_goes_to_the_primary(cluster: Cluster) -> None:
    without = replace(cluster, endpoints=replace(cluster.endpoints, replica_urls=()))
    for readers_of in (opened(without), opened(cluster, FLAGS_USE_READ_REPLICAS="false")):
        async with readers_of as readers:
            assert not await readers.read(1, Read(), where)
            assert readers.metrics.replica_share() == 0


async def test_a_standby_at_the_primarys_address_answers_nobody_who_needs_the_primary(cluster: Cluster) -> None:
    """As for a moment in a failover, when the address has moved before the promotion."""
    link = Link(choose("a link", None, (), ()))
    link.upstream = cluster.socket("postgres")
    moving = replace(cluster.endpoints, database_url=f"postgresql://{USER}@{HOST}:{link.port}/folio", replica_urls=())
    async with link.laid(), opened(replace(cluster, endpoints=moving)) as readers:
        await until(lambda: knows_the_primary(readers))
        assert not await of_anyone(readers)
        link.upstream = cluster.socket("replica1")
        link.reset()
        await asyncio.sleep(0.2)  # the pool has seen that its connections are gone, and makes new ones
        assert await of_anyone(readers)
        for intent in (Write(), ReadYourWrites(1, "9-1")):
            with pytest.raises(DatabaseUnavailable, match="leads to a standby"):
                await readers.read(1, intent, where)


async def test_a_standby_at_the_primarys_address_answers_nobody_while_no_primary_was_met(cluster: Cluster) -> None:
    """Of which cluster it is, and how far behind, there is nobody to tell."""
    moved = replace(cluster.endpoints, database_url=cluster.endpoints.replica_urls[0], replica_urls=())
    async with opened(replace(cluster, endpoints=moved)) as readers:
        for intent in (Read(), Write()):
            with pytest.raises(DatabaseUnavailable, match="leads to a standby"):
                await readers.read(1, intent, where)


async def test_a_row_of_the_primary_is_not_had_from_a_standby(cluster: Cluster) -> None:
    moved = replace(cluster.endpoints, database_url=cluster.endpoints.replica_urls[0], replica_urls=())
    statement = "SELECT pg_current_wal_lsn()::text AS epoch, $1::text, $2::text"
    async with opened(replace(cluster, endpoints=moved)) as readers:
        with pytest.raises(DatabaseUnavailable, match="recovery"):
            await readers.primary_row(statement)


async def test_organisations_read_from_the_pool_of_their_range_and_else_from_the_primary(cluster: Cluster) -> None:
    first, _ = cluster.replica_urls
    named = replace(cluster.endpoints, replica_urls=(f"near={first}", "far=postgresql://folio@127.0.0.1:1/folio"))
    async with open_readers(quick_settings(REPLICA_ORG_RANGES="0-9=near,10-=far"), named) as readers:
        assert all([await readers.read(9, Read(), where) for _ in range(4)])
        assert not any([await readers.read(10, Read(), where) for _ in range(4)])


@pytest.mark.parametrize("intent", [Read(), Write()])
async def test_a_read_sees_one_organisation_and_changes_nothing(cluster: Cluster, intent: Read | Write) -> None:
    async def everything(connection: asyncpg.Connection) -> list[int]:
        return [row["org_id"] for row in await connection.fetch("SELECT org_id FROM read_models.probe")]

    async def a_change(connection: asyncpg.Connection) -> None:
        await connection.execute("UPDATE read_models.probe SET n = 0")

    async with opened(cluster) as readers:
        for org_id in (3, 4, 5, 3):
            assert await readers.read(org_id, intent, everything) == [org_id]
        with pytest.raises(DatabaseUnavailable, match="read-only transaction"):
            await readers.read(3, intent, a_change)


async def test_nothing_of_a_read_outlives_it(cluster: Cluster) -> None:
    """One connection, many readers: also where one has failed."""

    async def settings(connection: asyncpg.Connection) -> tuple[str, ...]:
        return tuple(await connection.fetchrow("SELECT current_user, current_setting('folio.org_id')") or ())

    async def a_slip(connection: asyncpg.Connection) -> None:
        raise LookupError("not found")

    async with opened(cluster, POOL_REPLICA_MAX="1") as readers:
        assert await readers.read(3, Read(), settings) == ("folio_reader", "3")
        pool = await readers._replicas[0].pool.open()
        with pytest.raises(LookupError):
            await readers.read(4, Read(), a_slip)
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT current_user || current_setting('folio.org_id')") == "folio"


async def test_a_statement_that_takes_too_long_is_not_tried_elsewhere(cluster: Cluster) -> None:
    tries = 0

    async def slow(connection: asyncpg.Connection) -> None:
        nonlocal tries
        tries += 1
        await connection.fetch("SELECT pg_sleep(5)")

    async with opened(cluster, POOL_STATEMENT_TIMEOUT_SECONDS="0.1") as readers:
        with pytest.raises(BatchTooSlow, match="statement timeout"):
            await readers.read(1, Read(), slow)
        assert tries == 1
        assert all(health.usable for health in readers.checks.replicas)


async def test_a_pool_that_is_used_up_sends_reads_on_and_in_the_end_refuses_them(cluster: Cluster) -> None:
    go, held = asyncio.Event(), 0

    async def hold(connection: asyncpg.Connection) -> None:
        nonlocal held
        held += 1
        await go.wait()

    bounds = {"POOL_REPLICA_MAX": "1", "POOL_PRIMARY_MAX": "1", "POOL_ACQUIRE_TIMEOUT_SECONDS": "0.1"}
    async with opened(cluster, **bounds) as readers, asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(readers.read(1, Read(), hold))
        while held < 3:
            await asyncio.sleep(0.01)
        with pytest.raises(PoolExhausted, match=r"primary: each of 1 connections was in use for 0\.1 s"):
            await readers.read(1, Read(), number)
        assert all(health.usable for health in readers.checks.replicas), "a pool that is used up is no dead server"
        go.set()


async def test_a_read_that_is_cancelled_gives_its_connection_back(cluster: Cluster) -> None:
    async def for_ever(connection: asyncpg.Connection) -> None:
        await connection.fetch("SELECT pg_sleep(4)")

    async with opened(cluster, POOL_REPLICA_MAX="1") as readers:
        for _ in range(4):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await readers.read(1, Read(), for_ever)
        assert await asyncio.wait_for(readers.read(1, Read(), where), 1)


async def test_nobody_queues_up_behind_a_server_that_says_nothing(cluster: Cluster) -> None:
    """It takes connections, and never answers: the last of many readers waits no longer than the first."""
    link = Link(choose("a link", None, (), ()))
    link.upstream = cluster.socket("postgres")
    link.swallow_everything()
    silent = replace(cluster.endpoints, database_url=f"postgresql://{USER}@{HOST}:{link.port}/folio", replica_urls=())
    bounds = {"POOL_ACQUIRE_TIMEOUT_SECONDS": "0.3", "REPLICA_ANSWER_TIMEOUT_SECONDS": "0.2"}
    async with link.laid(), open_readers(quick_settings(**bounds), silent) as readers:
        began = time.monotonic()
        reads = [readers.read(1, Read(), number) for _ in range(20)]
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(each, DatabaseUnavailable) for each in found), found
        # Two attempts of 0.3 s, and what a slow machine adds; one after the other they would take 8 s.
        assert time.monotonic() - began < 4


async def test_nobody_waits_for_the_end_of_a_read(cluster: Cluster) -> None:
    """The server says nothing more after its answer: the answer stands, and the connection is not used again."""
    link = Link(choose("a link", None, (), ()))
    link.upstream = cluster.socket("postgres")
    through = replace(cluster.endpoints, database_url=f"postgresql://{USER}@{HOST}:{link.port}/folio", replica_urls=())
    settings = quick_settings(POOL_PRIMARY_MAX="1", REPLICA_ANSWER_TIMEOUT_SECONDS="0.5")
    async with link.laid(), open_readers(settings, through) as readers:

        async def the_last(connection: asyncpg.Connection) -> int:
            answer = await process(connection)
            link.silence()
            return answer

        began = time.monotonic()
        first = await readers.read(1, Read(), the_last)
        assert time.monotonic() - began < 0.5
        await link.heal()
        assert await readers.read(1, Read(), process) != first


async def test_a_connection_that_has_lived_long_enough_is_replaced(cluster: Cluster) -> None:
    for lifetime, connections in (("3600", 1), ("0.001", 4)):
        async with opened(cluster, POOL_REPLICA_MAX="1", POOL_LIFETIME_SECONDS=lifetime) as readers:
            place = [await readers.read(1, Read(), process) for _ in range(8)]
            assert len(set(place[::2])) == connections


async def test_a_role_that_the_login_does_not_have_is_told(cluster: Cluster) -> None:
    async with opened(cluster, POOL_ROLE="nobody_of_that_name") as readers:
        with pytest.raises(SettingsRefused, match="FOLIO_POOL_ROLE='nobody_of_that_name' on replica1"):
            await readers.read(1, Read(), number)


async def test_a_replica_that_stands_still_is_passed_over_by_who_has_written(cluster: Cluster) -> None:
    urls = cluster.replica_urls
    async with (
        cluster.superuser(urls[0]) as one,
        cluster.superuser(urls[1]) as two,
        opened(cluster, REPLICA_LAG_CRITICAL_SECONDS="60") as readers,
    ):
        for replica in (one, two):
            await replica.execute("SELECT pg_wal_replay_pause()")
        try:
            async with cluster.superuser() as connection:
                await connection.execute("UPDATE read_models.probe SET n = 4711 WHERE org_id = 90")
                mark = await written(connection)
            assert await readers.read(90, mark, number) == 4_711
            assert await readers.read(90, Read(), number) != 4_711, "whoever does not say so may see an older state"
        finally:
            for replica in (one, two):
                await replica.execute("SELECT pg_wal_replay_resume()")


async def test_when_a_replica_replayed_last_is_an_instant_of_the_primarys_clock(cluster: Cluster) -> None:
    """The commit as the primary dated it, beside the primary's own clock: two instants of one machine."""
    (replica, *_), committing = cluster.replica_urls, "UPDATE read_models.probe SET n = n WHERE org_id = 91"
    async with cluster.superuser() as connection:
        before = (await position_of(connection)).clock
        await connection.execute(committing)
        mark, after = await written(connection), (await position_of(connection)).clock

    async def there() -> bool:
        return (await ask_position(replica, 5)).lsn >= mark.lsn

    await until(there)
    replayed_at = (await ask_position(replica, 5)).replayed_at
    assert before is not None
    assert after is not None
    assert replayed_at is not None
    assert before <= replayed_at <= after
