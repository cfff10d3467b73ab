"""What a live load needs: workers that own every lane, a generator and a receiver, each a process of its own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from bench.live.generator import Generator
from bench.live.receiver import Receiver
from bench.live.stepping import Rig
from bench.target import Ground, Target
from bench.workers import Workers, running_workers
from bench.workload import Workload

_CLAIMED_SECONDS_MAX: Final = 60.0


@asynccontextmanager
async def rigged(target: Target, ground: Ground, workload: Workload, workers: int) -> AsyncIterator[Rig]:
    """Ready for its first step. Raises WorkersEndedError, or TimeoutError when nobody owns the lanes."""
    bootstrap, stream = ground.endpoints.kafka_bootstrap, ground.stream
    with (
        tempfile.TemporaryDirectory(prefix="folio-bench-live-") as folder,
        Generator(bootstrap, stream.topic, stream.lanes, workload) as generator,
        Receiver(bootstrap, stream.updates_topic) as receiver,
        running_workers(ground, workers, target.workers_log) as running,
    ):
        connection = await asyncpg.connect(ground.endpoints.database_url)
        try:
            await _until_claimed(connection, running, stream.lanes)
            accountant = target.accountant(workers=running.pid, generator=generator.pid, receiver=receiver.pid)
            yield Rig(generator, receiver, connection, accountant, Path(folder))
        finally:
            await connection.close()


async def _until_claimed(connection: asyncpg.Connection, workers: Workers, lanes: int) -> None:
    async with asyncio.timeout(_CLAIMED_SECONDS_MAX):
        while await connection.fetchval("SELECT count(*) FROM ops.lanes WHERE owner IS NOT NULL") < lanes:
            workers.require_alive()
            await asyncio.sleep(0.1)
