"""`python -m tests.replicas`: what the router costs, and what waiting for a replica brings, on a running stack.

The stack is that of FOLIO_STACK_DIR, with replicas (`folio stack up --replicas 2`); a table of its own stays.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

import sql
from pipeline.loop import run_on_loop
from pipeline.stack import Endpoints, StackConfig, endpoints
from pipeline.storage.intent import Read, Write
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.replicas.position import written
from pipeline.storage.replicas.router import ReplicaReaders
from tests.replicas.cluster import Cluster, make_probe, quick_settings
from tests.replicas.load import number

_SECONDS = 3.0
_READERS = 8
_ORG = 7


async def main() -> None:
    found = endpoints(Path(os.environ.get("FOLIO_STACK_DIR", ".stack")))
    assert found is not None, "no stack runs there"
    assert found.replica_urls, "it has no replicas: folio stack up --replicas 2"
    cluster = Cluster(StackConfig(Path()), found)
    async with cluster.superuser() as connection:
        await connection.execute("DROP TABLE IF EXISTS read_models.probe")
        await connection.execute("DROP SCHEMA IF EXISTS read_models")
    await make_probe(cluster)
    await asyncio.sleep(0.5)
    await _position(cluster)
    await _bare(cluster)
    async with open_readers(quick_settings(), found) as readers:
        await _measured("router, primary", lambda: readers.read(_ORG, Write(), number))
        await _measured("router, replicas in turn", lambda: readers.read(_ORG, Read(), number))
    for milliseconds in ("0", "2", "5", "20"):
        async with open_readers(quick_settings(REPLICA_CATCH_UP_MS=milliseconds), found) as readers:
            await _own_writes(readers, found, milliseconds)


async def _position(cluster: Cluster) -> None:
    """What it costs a transaction to know where its server stands."""
    async with cluster.superuser(cluster.replica_urls[0]) as connection:
        for name, statement in (("SELECT 1", "SELECT 1"), ("server_position", sql.query("server_position"))):
            began = time.perf_counter()
            for _ in range(2_000):
                await connection.fetchrow(statement)
            print(f"{name}: {(time.perf_counter() - began) / 2_000 * 1e6:.0f} us")


async def _bare(cluster: Cluster) -> None:
    """The same read without a router: a transaction on a connection of the reader's own."""
    async with asyncpg.create_pool(cluster.endpoints.database_url, min_size=_READERS, max_size=_READERS) as pool:

        async def read() -> int:
            async with pool.acquire() as connection, connection.transaction(readonly=True):
                await connection.fetchrow(
                    "SELECT set_config('role', 'folio_reader', true), set_config('folio.org_id', $1, true)", str(_ORG)
                )
                return await number(connection)  # type: ignore[arg-type]  # it passes everything on to one

        await _measured("no router, primary", read)


async def _measured(name: str, read: Callable[[], Awaitable[int]]) -> None:
    seconds: list[float] = []
    until = time.perf_counter() + _SECONDS

    async def reader() -> None:
        while (began := time.perf_counter()) < until:
            await read()
            seconds.append(time.perf_counter() - began)

    await asyncio.gather(*(reader() for _ in range(_READERS)))
    print(f"{name}: {len(seconds) / _SECONDS:,.0f} reads/s, {_spread(seconds)}")


async def _own_writes(readers: ReplicaReaders, found: Endpoints, milliseconds: str) -> None:
    """Each reader reads by what it has just written; so every read finds its replica a little behind."""
    seconds: list[float] = []
    until = time.perf_counter() + _SECONDS

    async def reader(org_id: int) -> None:
        connection = await asyncpg.connect(found.database_url)
        while time.perf_counter() < until:
            n = await connection.fetchval(
                "UPDATE read_models.probe SET n = n + 1 WHERE org_id = $1 RETURNING n", org_id
            )
            mark, began = await written(connection), time.perf_counter()
            assert await readers.read(org_id, mark, number) == n
            seconds.append(time.perf_counter() - began)
        await connection.close()

    await asyncio.gather(*(reader(org_id) for org_id in range(1, _READERS + 1)))
    share = readers.metrics.replica_share()
    print(f"own writes, waiting {milliseconds} ms: {share:.1%} by replicas, {_spread(seconds)}")


def _spread(seconds: list[float]) -> str:
    milliseconds = statistics.quantiles((each * 1_000 for each in seconds), n=20)
    return f"p50 {milliseconds[9]:.2f} ms, p95 {milliseconds[18]:.2f} ms"


if __name__ == "__main__":
    run_on_loop(main())
