"""Readers that never stop: each writes a number, and reads it back by what it wrote, and also without saying so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from pipeline.errors import PipelineError
from pipeline.storage.intent import Intent, Read
from pipeline.storage.replicas.position import written
from pipeline.storage.replicas.router import ReplicaReaders

READERS = 4
# Between two rounds of a reader: the load is there to meet every fault, not to fill the machine.
_PAUSE_SECONDS = 0.004


async def number(connection: asyncpg.Connection) -> int:
    """What the reader's own row says; without a filter, for there is only one row that it may see."""
    found: int = await connection.fetchval("SELECT n FROM read_models.probe")
    return found


@dataclass
class Load:
    """What came of it."""

    readers: ReplicaReaders
    primary_url: str
    reads: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def reader(self, org_id: int) -> None:
        connection = await asyncpg.connect(self.primary_url)
        try:
            while True:
                wrote = await connection.fetchval(
                    "UPDATE read_models.probe SET n = n + 1 WHERE org_id = $1 RETURNING n", org_id
                )
                mark = await written(connection)
                await self._read(org_id, mark, wrote)
                await self._read(org_id, Read(), 0)
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            connection.terminate()

    async def _read(self, org_id: int, intent: Intent, least: int) -> None:
        try:
            found = await self.readers.read(org_id, intent, number)
        except PipelineError as error:
            self.errors.append(f"{intent}: {error}")
            return
        self.reads += 1
        if found < least:
            self.wrong.append(f"{intent}: {found}, and {least} was written")


@asynccontextmanager
async def under_load(readers: ReplicaReaders, primary_url: str) -> AsyncIterator[Load]:
    """Readers of organisations 1 to 4, until the block ends."""
    load = Load(readers, primary_url)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(load.reader(org_id)) for org_id in range(1, READERS + 1)]
        yield load
        for task in running:
            task.cancel()


def answered(readers: ReplicaReaders, server: str) -> float:
    """Reads that a server has answered, whatever their intent."""
    values = [
        sample.value
        for metric in readers.metrics.reads.collect()
        for sample in metric.samples
        if sample.name == "folio_reads_total" and sample.labels["server"] == server
    ]
    return sum(values)


def told(load: Load, faults: Sequence[str]) -> str:
    """One line for whoever runs the test with -s."""
    share = load.readers.metrics.replica_share()
    struck = ", ".join(f"{fault} {times}x" for fault, times in Counter(faults).items())
    return f"{load.reads:,} reads, {share:.1%} by replicas, {len(faults)} faults: {struck}"
