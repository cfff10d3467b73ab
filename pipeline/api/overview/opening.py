"""What looks at everything, put together. Nothing is asked of anybody before somebody watches."""

import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry

from pipeline.api.overview.books import BooksLook
from pipeline.api.overview.looking import Heard, Overview
from pipeline.api.overview.topics import TopicsLook
from pipeline.clock import SystemClock
from pipeline.maintenance.partitions.planning import Keeping
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.replicas.router import ReplicaReaders


@contextlib.asynccontextmanager
async def open_overview(
    settings: Settings,
    endpoints: Endpoints,
    readers: ReplicaReaders,
    registry: CollectorRegistry,
    heard: Heard | None = None,
) -> AsyncIterator[Overview]:
    """Looks over connections of its own, so that readers never wait for who watches."""
    clock = SystemClock()
    archive = settings.partitions.archive_dir is not None
    keeping = Keeping(settings.batch.retention_months, settings.partitions.months_ahead, archive)
    overview = Overview(
        BooksLook(endpoints.database_url, settings.database, keeping, clock),
        TopicsLook(endpoints.kafka_bootstrap, settings.kafka.topic_prefix),
        readers,
        registry,
        clock,
        heard,
    )
    try:
        yield overview
    finally:
        await overview.aclose()
