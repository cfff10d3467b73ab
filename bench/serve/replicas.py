"""A replica of the stack's database, for as long as it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.target import Ground, database_url
from pipeline.stack.config import StackConfig
from pipeline.stack.stack import up


@asynccontextmanager
async def replica(directory: Path, ground: Ground) -> AsyncIterator[tuple[StackConfig, str]]:
    """The stack with a replica, and where that one has the books (`FOLIO_REPLICA_URLS`)."""
    config = StackConfig(directory, preferred_ports={}, replicas=1)
    endpoints = await asyncio.to_thread(up, config)
    try:
        yield config, ",".join(database_url(url, ground.database) for url in endpoints.replica_urls)
    finally:
        await asyncio.to_thread(up, StackConfig(directory, preferred_ports={}, replicas=0))
