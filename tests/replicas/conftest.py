"""Replicas are made once for the folder; who needs them broken for good has some of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from pipeline.stack import Endpoints, StackConfig
from pipeline.stack.config import PartName
from pipeline.stack.stack import up
from pipeline.stack.temporary import reaped
from tests.replicas.cluster import Cluster, make_probe


@contextmanager
def _running(directory: Path, others: Endpoints, replicas: int) -> Iterator[Cluster]:
    external: dict[PartName, str] = {"kafka": others.kafka_bootstrap, "valkey": others.redis_url}
    config = StackConfig(directory, external, preferred_ports={}, replicas=replicas)
    with reaped(config):
        yield Cluster(config, up(config))


@pytest_asyncio.fixture(scope="session")
async def cluster(stack: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """A primary with two replicas; tests leave all three running."""
    with _running(tmp_path_factory.mktemp("replicas") / "s", stack, 2) as running:
        await make_probe(running)
        yield running


@pytest_asyncio.fixture
async def own_cluster(stack: Endpoints, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A primary with two replicas that a test may ruin."""
    with _running(tmp_path / "s", stack, 2) as running:
        await make_probe(running)
        yield running
