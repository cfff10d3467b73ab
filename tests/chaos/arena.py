"""The arena: servers, links, workers and producers, put together; one stream in it at a time.

Producers and the one who judges go straight to the servers. Workers know the links only.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient

from pipeline.cache.client import new_redis
from pipeline.settings import RedisSettings
from pipeline.stack import Endpoints
from pipeline.stack.ports import HOST, choose
from pipeline.stack.postgres import USER
from pipeline.stack.privileges import unprivileged
from pipeline.storage.migrate import migrate
from schemas.topics import topics
from tests.chaos.crew import Crew
from tests.chaos.guard import guarded
from tests.chaos.link import Link
from tests.chaos.load import Load
from tests.chaos.nodes import Nodes
from tests.chaos.reader import Reader
from tests.chaos.records import Records
from tests.chaos.servers import Server, servers
from tests.support.starting import spawned
from tests.support.stream import Stream, new_topics

LANES: Final = 4
CREW: Final = 2
_TEMPLATE: Final = "chaos_template"
# Shorter than in production, so that a silent peer is noticed within the patience of a trial; each is a setting. The
# breaker never trips: whether it does has tests of its own, and what poison does to its neighbours is asked here.
_SETTINGS: Final = {
    "DATABASE_CONNECT_TIMEOUT_SECONDS": "3",
    "DATABASE_LOCK_TIMEOUT_SECONDS": "4",
    "DATABASE_TRANSACTION_TIMEOUT_SECONDS": "10",
    "DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS": "5",
    "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
    "KAFKA_REQUEST_TIMEOUT_SECONDS": "10",
    "POISON_SHARE_MAX": "1",
    "WORKER_BACKOFF_MAX_SECONDS": "1",
    "WORKER_STALL_SECONDS": "15",
}


@dataclass(frozen=True, slots=True)
class Links:
    """The ways of workers to their servers, and of the standby to its primary."""

    database: Link
    broker: Link
    cache: Link
    replication: Link

    async def heal(self) -> None:
        for link in (self.database, self.broker, self.cache, self.replication):
            await link.heal()


class Arena:
    """What a fault can reach."""

    def __init__(self, folder: Path, links: Links, nodes: Nodes, broker: Server, cache: Server) -> None:
        self.folder = folder
        self.links = links
        self.nodes = nodes
        self.broker = broker
        self.cache = cache
        self._numbers = count(1)
        self._stream: Stream | None = None
        self._crew: Crew | None = None
        self._load: Load | None = None
        self._reader: Reader | None = None

    @property
    def stream(self) -> Stream:
        """Past the links."""
        assert self._stream is not None, "no stream was begun"
        return self._stream

    @property
    def crew(self) -> Crew:
        assert self._crew is not None, "no stream was begun"
        return self._crew

    @property
    def load(self) -> Load:
        assert self._load is not None, "no stream was begun"
        return self._load

    @property
    def reader(self) -> Reader:
        assert self._reader is not None, "no stream was begun"
        return self._reader

    @property
    def database_name(self) -> str:
        return self.stream.prefix.rstrip(".")

    async def begin_stream(self, seed: int) -> None:
        """An empty database, empty topics, and a crew that has claimed every lane. Raises PromiseBroken."""
        name = f"chaos_{next(self._numbers)}"
        async with self.nodes.primary.connected() as connection:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY WAL_LOG")
        self._stream = Stream(
            self._endpoints(name), f"{name}.", LANES, self.folder, _SETTINGS | self._by_link(name), start=spawned
        )
        await new_topics(self._stream.endpoints, self._stream.prefix, LANES)
        self._crew = Crew(self._stream)
        self._load = Load(self.broker.address, self._stream.prefix, Records(seed, LANES))
        cache = new_redis(self.cache.address, RedisSettings())
        await cache.flushall()  # versions begin anew with the books; their epoch is the same server's
        self._reader = Reader(seed, cache, lambda: self.nodes.primary, name)
        for _ in range(CREW):
            self.crew.start()
        await self.crew.all_claimed()

    async def end_stream(self) -> None:
        """The crew leaves in order, and nobody asks for the stream again. Raises PromiseBroken."""
        if self._crew is not None:
            await self.crew.leave_all()
            await self.discard_stream()

    async def discard_stream(self) -> None:
        """Nobody is waited for, and what the stream has written is dropped."""
        await self.abandon()
        if self._stream is not None:
            async with self.nodes.primary.connected() as connection:
                await connection.execute(f"DROP DATABASE IF EXISTS {self.database_name} WITH (FORCE)")
            await _delete_topics(self.broker.address, self._stream.prefix)
            self._stream = None
        for log in self.folder.glob("worker-*.log"):
            log.unlink()

    async def abandon(self) -> None:
        """Producers stop, and whoever is left of the crew is killed."""
        if self._load is not None:
            await self._load.abandon()
        if self._reader is not None:
            await self._reader.close()
        if self._crew is not None:
            self._crew.abandon()
        self._crew = self._load = self._reader = None

    async def mend(self) -> None:
        """Everything runs and every link is up, whatever a fault that failed has left behind."""
        await self.links.heal()
        if self.nodes.primary.stopped:
            self.nodes.primary.thaw()
        await self.nodes.give_up_the_standby()
        if not self.nodes.primary.running:
            await asyncio.to_thread(self.nodes.primary.start)
        for server in (self.broker, self.cache):
            server.thaw()
            await asyncio.to_thread(server.start)

    def moved(self) -> None:
        """The database has moved to another node: so must those who go past the link."""
        self.stream.endpoints = self._endpoints(self.database_name)

    def _endpoints(self, database: str) -> Endpoints:
        return Endpoints(self.nodes.primary.url(database), self.broker.address, self.cache.address)

    def _by_link(self, database: str) -> dict[str, str]:
        return {
            "DATABASE_URL": f"postgresql://{USER}@{HOST}:{self.links.database.port}/{database}",
            "KAFKA_BOOTSTRAP": f"{HOST}:{self.links.broker.port}",
            "REDIS_URL": f"redis://{HOST}:{self.links.cache.port}/0",
        }


@asynccontextmanager
async def arena() -> AsyncIterator[Arena]:
    """Everything up, in a folder of its own that is gone afterwards, even when this process is killed."""
    folder = _new_folder()
    async with AsyncExitStack() as lives:
        lives.enter_context(guarded(folder))
        links = Links(*[Link(port) for port in _ports(4)])
        for link in (links.database, links.broker, links.cache, links.replication):
            await lives.enter_async_context(link.laid())
        broker, cache = servers(folder / "stack", links.broker.port)
        if unprivileged().owner:  # PostgreSQL's user must pass through
            for closed in (folder, folder / "stack"):
                closed.chmod(0o711)
        nodes = Nodes(folder / "stack" / "postgres", links.database, links.replication)
        await asyncio.gather(nodes.start(), *(asyncio.to_thread(server.start) for server in (broker, cache)))
        links.broker.upstream = (HOST, broker.ports["linked"])
        links.cache.upstream = (HOST, cache.ports["valkey"])
        await _make_template(nodes)
        made = Arena(folder, links, nodes, broker, cache)
        try:
            yield made
        finally:
            await made.abandon()


def _new_folder() -> Path:
    # Resolved: by the kernel's name for the folder that a process works in it is known as ours.
    return Path(tempfile.mkdtemp(prefix="folio-chaos-")).resolve()


def _ports(number: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(number):
        chosen.append(choose("a link", None, (), chosen))
    return chosen


async def _delete_topics(bootstrap: str, prefix: str) -> None:
    """A broker that is killed recovers every partition that it has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        await admin.delete_topics([spec.name for spec in topics(prefix)])
    finally:
        await admin.close()


async def _make_template(nodes: Nodes) -> None:
    async with nodes.primary.connected() as connection:
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    async with nodes.primary.connected(_TEMPLATE) as connection:
        await migrate(connection)
