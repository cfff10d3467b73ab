"""The real servers, once a session; a database, topics and a group for each test that wants them."""

import gc
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
import pytest_asyncio
from hypothesis import HealthCheck
from redis.asyncio import Redis

from pipeline.stack import Endpoints, endpoints
from pipeline.stack.config import PartName
from pipeline.stack.temporary import temporary_stack
from pipeline.storage.migrate import migrate
from tests.support.databases import drop
from tests.support.memory import keep_temporary_files_in_memory
from tests.support.order import long_ones_early
from tests.support.shared_broker import address_in, broker_folder
from tests.support.starting import Start, forked
from tests.support.stream import Stream, new_topics

# Machines are shared: how long an example takes says nothing about it.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")


class Node(Protocol):
    """A process that runs tests, as xdist shows it to the one that hands them out."""

    config: pytest.Config
    workerinput: dict[str, object]


# Of the process that hands out the tests, and as long as it.
_RESOURCES: Final = pytest.StashKey[ExitStack]()
_BROKER_FOLDER: Final = pytest.StashKey[Path]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Told of each process that will run tests, before it starts."""
    if os.environ.get("TEST_STACK_DIR"):
        return
    stash = node.config.stash
    if _RESOURCES not in stash:
        stash[_RESOURCES] = ExitStack()
        stash[_BROKER_FOLDER] = stash[_RESOURCES].enter_context(broker_folder())
    node.workerinput["broker_folder"] = str(stash[_BROKER_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RESOURCES in config.stash:
        config.stash[_RESOURCES].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TEST_ALLOW_NO_SKIP (set by .ci/run) a skipped test is a failed one: what it needs is to be installed."""
    report = yield
    if report.skipped and os.environ.get("TEST_ALLOW_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be: {report.longrepr}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    given: Mapping[str, int] = getattr(config, "workerinput", {})
    if "workercount" in given:
        items[:] = long_ones_early(items, given["workercount"])


def pytest_collection_finish() -> None:
    """What is collected stays until the end: the collector would walk all of it, again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


# Most brokers of tests live for less than a minute: no time in which the optimising compiler could pay for itself. When
# each process had one of its own, it took a tenth of the whole run.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
keep_temporary_files_in_memory()
_numbers = itertools.count(1)
# Of this process: two runs may share a stack.
_TEMPLATE = f"folio_template_{os.getpid()}"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Endpoints]:
    """PostgreSQL, Kafka and Valkey. TEST_STACK_DIR names a running stack to use instead, for quick repeats."""
    running = os.environ.get("TEST_STACK_DIR")
    if running:
        found = endpoints(Path(running))
        assert found is not None, f"no stack runs in {running}"
        yield found
        return
    with temporary_stack(tmp_path_factory.mktemp("stack"), _servers_of_all(pytestconfig)) as started:
        yield started


def _servers_of_all(config: pytest.Config) -> Mapping[PartName, str]:
    """What the processes of this run have in common; nothing where there is only this one."""
    given: Mapping[str, str] = getattr(config, "workerinput", {})
    return {"kafka": address_in(Path(given["broker_folder"]))} if "broker_folder" in given else {}


async def _do_not_sync(admin: asyncpg.Connection) -> None:
    """Only a machine that loses power tells a synced disk from one that is not; hundreds of databases come and go here.

    Dropping one took 0.9 s before, and making one half as long again. Tests that kill PostgreSQL have servers of their
    own, and those sync.
    """
    await admin.execute("ALTER SYSTEM SET fsync = off")
    await admin.execute("SELECT pg_reload_conf()")


@pytest_asyncio.fixture(scope="session")
async def template(stack: Endpoints) -> AsyncIterator[str]:
    """A migrated database that tests copy: a copy takes a fraction of the migrations' time."""
    admin = await asyncpg.connect(stack.database_url)
    if not os.environ.get("TEST_STACK_DIR"):
        await _do_not_sync(admin)
    await drop(admin, _TEMPLATE)
    await admin.execute(f"CREATE DATABASE {_TEMPLATE}")
    await admin.close()
    connection = await asyncpg.connect(database_url(stack.database_url, _TEMPLATE))
    await migrate(connection)
    await connection.close()
    yield _TEMPLATE
    admin = await asyncpg.connect(stack.database_url)
    await drop(admin, _TEMPLATE)
    await admin.close()


def database_url(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest_asyncio.fixture
async def database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    """The URL of a migrated database of this test's own."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(stack.database_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")
    try:
        yield database_url(stack.database_url, name)
    finally:
        await drop(admin, name)
        await admin.close()


MakeStream = Callable[..., Awaitable[Stream]]


@pytest.fixture
def start() -> Start:
    """How a stream's commands are started; where it must be as a shell does, a module has a fixture of its own."""
    return forked


@pytest_asyncio.fixture
async def make_stream(stack: Endpoints, template: str, tmp_path: Path, start: Start) -> AsyncIterator[MakeStream]:
    """Makes streams, each with a database and topics of its own."""
    admin = await asyncpg.connect(stack.database_url)
    async with aclosing(Redis.from_url(stack.redis_url)) as cache:
        await cache.flushdb()  # versions begin anew with the books; their epoch is the same server's
    names: list[str] = []

    async def make(lanes: int = 2, **overrides: str) -> Stream:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")
        names.append(name)
        prefix = f"{name}."
        own = Endpoints(
            database_url=database_url(stack.database_url, name),
            kafka_bootstrap=stack.kafka_bootstrap,
            redis_url=stack.redis_url,
        )
        await new_topics(own, prefix, lanes)
        return Stream(own, prefix, lanes, tmp_path, dict(overrides), start)

    try:
        yield make
    finally:
        for name in names:
            await drop(admin, name)
        await admin.close()


@pytest_asyncio.fixture
async def stream(make_stream: MakeStream) -> Stream:
    """One stream with two lanes."""
    return await make_stream()
