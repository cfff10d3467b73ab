"""One running stack for the whole folder: a Kafka start costs seconds, and most tests need one that runs."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.stack import Endpoints, StackConfig, endpoints
from pipeline.stack.config import PartName
from pipeline.stack.record import read
from pipeline.stack.stack import down
from pipeline.stack.temporary import temporary_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackConfig]:
    """A stack with all three parts of its own; tests leave it running."""
    directory = tmp_path_factory.mktemp("stack") / "s"
    with temporary_stack(directory):
        yield StackConfig(directory, preferred_ports={})


@pytest.fixture
def lend(stack: StackConfig) -> Callable[..., dict[PartName, str]]:
    """Addresses of the running stack, as the external servers of another one."""
    found = endpoints(stack.directory)
    assert found is not None
    return lambda *parts: {part: _addresses(found)[part] for part in parts}


@pytest.fixture
def small(tmp_path: Path, lend: Callable[..., dict[PartName, str]]) -> Iterator[StackConfig]:
    """A stack of which only Valkey is its own: it starts at once."""
    config = StackConfig(tmp_path / "s", lend("postgres", "kafka"), preferred_ports={})
    yield config
    down(config)


@pytest.fixture
def database(tmp_path: Path, lend: Callable[..., dict[PartName, str]]) -> Iterator[StackConfig]:
    """A stack of which only PostgreSQL is its own."""
    config = StackConfig(tmp_path / "s", lend("kafka", "valkey"), preferred_ports={})
    yield config
    down(config, purge_data=read(config.directory) is not None)


def _addresses(found: Endpoints) -> dict[PartName, str]:
    return {"postgres": found.database_url, "kafka": found.kafka_bootstrap, "valkey": found.redis_url}


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port on which nothing listens."""

    def find() -> int:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            return int(found.getsockname()[1])

    return find
