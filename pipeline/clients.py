"""What a worker talks to: the broker, the database and the cache, each by its client.

A worker asks for its clients here and nowhere else, so that the same worker runs against servers, and in the
simulation (tests/simulation) against what stands in for them.
"""

from typing import Protocol

import asyncpg
from redis.asyncio import Redis

from consumers.client import Consumer, new_consumer
from pipeline.cache.client import new_redis
from pipeline.producer import Producer, new_letter_producer, new_producer
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.connect import connect_worker, connect_writer
from pipeline.storage.migrate import require_schema


class Clients(Protocol):
    """The clients of one worker. Those that are made anew are started and closed by who asked for them."""

    @property
    def redis(self) -> Redis: ...

    def consumer(self) -> Consumer: ...

    def producer(self) -> Producer: ...

    def letter_producer(self) -> Producer: ...

    async def connect(self) -> asyncpg.Connection:
        """A connection with the rights of a writer, for a few statements."""
        ...

    async def connect_writer(self) -> asyncpg.Connection:
        """A connection that writes the books: with staging tables of its own."""
        ...

    async def require_schema(self, connection: asyncpg.Connection) -> None:
        """Raises SchemaMismatch unless the database has had every migration that this code ships."""
        ...


class ServerClients:
    """Clients of the servers that the settings name."""

    def __init__(self, settings: Settings, endpoints: Endpoints, worker: str) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._worker = worker
        self.redis = new_redis(endpoints.redis_url, settings.redis)

    def consumer(self) -> Consumer:
        return new_consumer(self._endpoints.kafka_bootstrap, self._settings.kafka, self._worker)

    def producer(self) -> Producer:
        return new_producer(self._endpoints.kafka_bootstrap, self._worker)

    def letter_producer(self) -> Producer:
        return new_letter_producer(self._endpoints.kafka_bootstrap, self._worker)

    async def connect(self) -> asyncpg.Connection:
        return await connect_worker(self._endpoints.database_url, self._settings.database, self._worker)

    async def connect_writer(self) -> asyncpg.Connection:
        return await connect_writer(self._endpoints.database_url, self._settings.database, self._worker)

    async def require_schema(self, connection: asyncpg.Connection) -> None:
        await require_schema(connection)
