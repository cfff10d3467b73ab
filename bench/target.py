"""The servers under test: a stack of their own for as long as they are needed, or servers that the settings name.

A workload is loaded once, into topics under a prefix of its own. Each round then begins alike: a new copy of a template
database, nothing left in the topics of what was published, an empty cache, a consumer group of its own, a checkpoint.
"""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from bench.accounting import Accountant, PartName
from bench.loading import Loaded, Part, load, quiet
from bench.progress import Progress
from bench.workload import Workload
from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.stack.folder import WORKERS_LOG
from pipeline.stack.record import read
from pipeline.stack.temporary import temporary_stack
from pipeline.storage.migrate import migrate
from pipeline.topics import create_topics
from schemas.topics import DEAD_LETTERS, FINANCE_EVENTS, REALTIME_UPDATES, topics

MIGRATED: Final = "migrated"  # the template with the schema and nothing else
ROUND: Final = "round"  # what is booked in: made anew by each reset
_ADMIN_SECONDS: Final = 60.0
_PART_NAMES: Final[Mapping[str, PartName]] = {"postgres": "database", "kafka": "broker", "valkey": "cache"}


@dataclass(frozen=True, slots=True)
class Stream:
    """A workload in topics of its own."""

    workload: Workload
    prefix: str
    lanes: int
    loaded: Loaded

    @property
    def topic(self) -> str:
        return self.prefix + FINANCE_EVENTS

    @property
    def updates_topic(self) -> str:
        return self.prefix + REALTIME_UPDATES


@dataclass(frozen=True, slots=True)
class Ground:
    """What one round works on: a stream and a database that nobody has touched since it was copied."""

    stream: Stream
    endpoints: Endpoints
    group: str

    @property
    def database(self) -> str:
        """Its name, on the primary and on whatever follows it."""
        return urlsplit(self.endpoints.database_url).path.lstrip("/")

    def environment(self, **overrides: str) -> dict[str, str]:
        """The environment of a `folio` command on this ground; `overrides` name settings without FOLIO_.

        Other settings of the caller's own (FOLIO_BATCH_ROWS_MAX …) hold: that is how they are tried.
        """
        own = {
            "DATABASE_URL": self.endpoints.database_url,
            "KAFKA_BOOTSTRAP": self.endpoints.kafka_bootstrap,
            "REDIS_URL": self.endpoints.redis_url,
            "KAFKA_TOPIC_PREFIX": self.stream.prefix,
            "KAFKA_GROUP": self.group,
            "KAFKA_LANES": str(self.stream.lanes),
        }
        return dict(os.environ) | {f"FOLIO_{name}": value for name, value in (own | overrides).items()}

    def settings(self) -> Settings:
        """The settings of a command on this ground."""
        return settings_module.load(self.environment())


@dataclass(slots=True)
class Target:
    """The servers, and what was made on them. Everything is removed in the end."""

    endpoints: Endpoints
    settings: Settings
    progress: Progress
    local: bool
    pids: Mapping[PartName, int] = field(default_factory=dict)
    directory: Path | None = None
    # In the names of what it makes: two benchmarks may share external servers.
    run: str = field(default_factory=lambda: f"bench{secrets.token_hex(4)}")
    _prefixes: set[str] = field(default_factory=set)
    _streams: dict[tuple[str, int, Part], Stream] = field(default_factory=dict)
    _databases: set[str] = field(default_factory=set)
    _rounds: int = 0

    @property
    def workers_log(self) -> Path:
        """Where workers write theirs."""
        return (self.directory or Path(tempfile.gettempdir())) / WORKERS_LOG

    def accountant(self, **roots: int) -> Accountant:
        """One that reads the servers, and the parts whose root processes are named (`workers=pid`)."""
        known: dict[str, tuple[int, ...]] = {part: (pid,) for part, pid in self.pids.items()}
        return Accountant(known | {part: (pid,) for part, pid in roots.items()})

    async def stream(self, workload: Workload, lanes: int | None = None, part: Part = "events") -> Stream:
        """The workload in topics of its own; the part is loaded at the first call that asks for it.

        A history is loaded and booked first (`bench.draining.ready`): behind events nobody could tell it apart.
        """
        lanes = lanes or self.settings.kafka.lanes
        key = (workload.id, lanes, part)
        if key not in self._streams:
            prefix = f"{self.run}-{workload.name}-{workload.id}-{lanes}."
            bootstrap = self.endpoints.kafka_bootstrap
            self._prefixes.add(prefix)
            await create_topics(bootstrap, lanes, self.settings.kafka.replication_factor, prefix)
            self.progress.say(f"loading {part}: {workload.name}, {workload.events:,} events, {workload.distribution}")
            loaded = await asyncio.to_thread(load, bootstrap, prefix + FINANCE_EVENTS, workload, part)
            self.progress.say(
                f"loaded {loaded.census.messages:,} messages in {loaded.seconds:.1f} s "
                f"({loaded.generator_cpu_seconds * 1e6 / max(loaded.census.messages, 1):.1f} µs of CPU each)"
            )
            self._streams[key] = Stream(workload, prefix, lanes, loaded)
        return self._streams[key]

    def holds(self, workload: Workload, lanes: int | None = None, part: Part = "events") -> bool:
        """Whether `stream` would find the part loaded."""
        return (workload.id, lanes or self.settings.kafka.lanes, part) in self._streams

    async def forget(self, stream: Stream) -> None:
        """Remove the stream's topics: big ones need not wait for the end."""
        self._streams = {key: each for key, each in self._streams.items() if each.prefix != stream.prefix}
        await asyncio.to_thread(self._delete_topics, stream.prefix)
        self._prefixes.discard(stream.prefix)

    async def reset(self, stream: Stream, template: str = MIGRATED) -> Ground:
        """New ground for a round; that of the round before is gone."""
        self._rounds += 1
        await self._ensure_migrated()
        await self._copy(self._named(template), self._named(ROUND))
        await asyncio.to_thread(self._empty, [stream.updates_topic, stream.prefix + DEAD_LETTERS])
        await self._empty_cache()
        endpoints = Endpoints(
            database_url=database_url(self.endpoints.database_url, self._named(ROUND)),
            kafka_bootstrap=self.endpoints.kafka_bootstrap,
            redis_url=self.endpoints.redis_url,
        )
        return Ground(stream, endpoints, f"{stream.prefix}{self._rounds}")

    def has(self, template: str) -> bool:
        """Whether there is such a template."""
        return self._named(template) in self._databases

    async def derive(self, template: str, base: str, fill: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
        """Make a template from another one, and what `fill` adds to it."""
        await self._ensure_migrated()
        await self._copy(self._named(base), self._named(template))
        connection = await asyncpg.connect(database_url(self.endpoints.database_url, self._named(template)))
        try:
            await fill(connection)
        finally:
            await connection.close()

    async def keep(self, template: str) -> None:
        """Make what the round has booked a template: rounds that are reset to it begin with these books."""
        await self._copy(self._named(ROUND), self._named(template))

    async def close(self) -> None:
        """Remove what was made on external servers; a stack of our own goes as a whole."""
        if self.local:
            return
        admin = await self._admin()
        try:
            for name in sorted(self._databases):
                await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await admin.close()
        await self._empty_cache()
        for prefix in sorted(self._prefixes):
            await asyncio.to_thread(self._delete_topics, prefix)
        await asyncio.to_thread(self._delete_groups)

    def _named(self, name: str) -> str:
        return f"folio_{self.run}_{name}"

    async def _ensure_migrated(self) -> None:
        name = self._named(MIGRATED)
        if name in self._databases:
            return
        admin = await self._admin()
        try:
            await admin.execute(f'CREATE DATABASE "{name}"')
        finally:
            await admin.close()
        self._databases.add(name)
        connection = await asyncpg.connect(database_url(self.endpoints.database_url, name))
        try:
            await migrate(connection)
        finally:
            await connection.close()

    async def _copy(self, template: str, name: str) -> None:
        admin = await self._admin()
        try:
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
            # No round pays for the pages that the one before has left dirty.
            await admin.execute("CHECKPOINT")
        finally:
            await admin.close()
        self._databases.add(name)

    async def _admin(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.endpoints.database_url, timeout=_ADMIN_SECONDS)

    async def require_empty_cache(self) -> None:
        """Raises SettingsRefused unless the cache's database is empty: what is in it would be lost."""
        cache = Redis.from_url(self.endpoints.redis_url)
        try:
            keys = await cache.dbsize()
        finally:
            await cache.aclose()
        if keys:
            raise SettingsRefused(
                f"FOLIO_REDIS_URL: the cache holds {keys:,} keys, and each round empties it; name an empty database"
            )

    async def _empty_cache(self) -> None:
        cache = Redis.from_url(self.endpoints.redis_url)
        try:
            await cache.flushdb()
        finally:
            await cache.aclose()

    def _empty(self, names: list[str]) -> None:
        """Let all that the topics hold expire. Their offsets go on: nobody mistakes new records for old ones."""
        ends = []
        consumer = Consumer(quiet(self.endpoints.kafka_bootstrap) | {"group.id": "folio-bench-ends"})
        try:
            for name in names:
                for partition in consumer.list_topics(name, _ADMIN_SECONDS).topics[name].partitions:
                    _, end = consumer.get_watermark_offsets(TopicPartition(name, partition), _ADMIN_SECONDS)
                    ends.append(TopicPartition(name, partition, end))
        finally:
            consumer.close()
        admin = self._broker()  # held: what it was asked is given up when it goes
        for future in admin.delete_records(ends).values():
            future.result(_ADMIN_SECONDS)

    def _delete_topics(self, prefix: str) -> None:
        """Those of the prefix that exist: it may not have come to all of them."""
        admin = self._broker()
        existing = admin.list_topics(timeout=_ADMIN_SECONDS).topics
        if names := [spec.name for spec in topics(prefix) if spec.name in existing]:
            for future in admin.delete_topics(names).values():
                future.result(_ADMIN_SECONDS)

    def _delete_groups(self) -> None:
        admin = self._broker()
        listed = admin.list_consumer_groups().result(_ADMIN_SECONDS).valid
        if groups := [group.group_id for group in listed if group.group_id.startswith(f"{self.run}-")]:
            for future in admin.delete_consumer_groups(groups).values():
                future.result(_ADMIN_SECONDS)

    def _broker(self) -> AdminClient:
        return AdminClient(quiet(self.endpoints.kafka_bootstrap))


@asynccontextmanager
async def local_target(progress: Progress) -> AsyncIterator[Target]:
    """A stack of its own in a temporary folder (TMPDIR says on which disk), gone in the end however that comes."""
    with tempfile.TemporaryDirectory(prefix="folio-bench-") as folder:
        directory = Path(folder) / "stack"
        progress.say("starting PostgreSQL, Kafka and Valkey")
        with temporary_stack(directory) as endpoints:
            target = Target(endpoints, settings_module.load(_not_our_servers()), progress, local=True)
            target.pids, target.directory = _pids(directory), directory
            yield target


@asynccontextmanager
async def external_target(progress: Progress) -> AsyncIterator[Target]:
    """The servers that the settings name. Databases and topics get names of our own, and are removed in the end.

    The cache is emptied before each round. Raises SettingsRefused when it holds anything of anybody's.
    """
    settings = settings_module.load()
    target = Target(resolve(settings), settings, progress, local=False)
    progress.say(f"databases, topics and groups of this run have {target.run} in their names")
    await target.require_empty_cache()
    try:
        yield target
    finally:
        await target.close()


def _not_our_servers() -> dict[str, str]:
    """The environment without the addresses of servers: these are the stack's."""
    named = ("FOLIO_DATABASE_URL", "FOLIO_KAFKA_BOOTSTRAP", "FOLIO_REDIS_URL", "FOLIO_STACK_DIR")
    return {name: value for name, value in os.environ.items() if name not in named}


def _pids(directory: Path) -> dict[PartName, int]:
    record = read(directory)
    assert record is not None, "the stack has just been started"
    return {
        _PART_NAMES[part]: note.process.pid
        for part, note in record.parts.items()
        if note.process is not None and part in _PART_NAMES
    }


def database_url(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
