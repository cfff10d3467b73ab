"""The assembly: readers of a process, made from settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from pipeline.clock import Clock, SystemClock
from pipeline.errors import SettingsRefused
from pipeline.replica_addresses import ReplicaAddress, check_together, org_ranges, replica_addresses
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.replicas.choice import LagBounds
from pipeline.storage.replicas.health import HealthChecks, Server
from pipeline.storage.replicas.metrics import PRIMARY, ReadMetrics
from pipeline.storage.replicas.pool import PoolBounds, ServerPool
from pipeline.storage.replicas.position import ask_position
from pipeline.storage.replicas.router import Replica, ReplicaReaders
from pipeline.translate import database_errors


@contextlib.asynccontextmanager
async def open_readers(
    settings: Settings, endpoints: Endpoints, clock: Clock | None = None, metrics: ReadMetrics | None = None
) -> AsyncIterator[ReplicaReaders]:
    """Readers whose servers have been looked at once, and are looked at again until the block ends.

    Raises SettingsRefused where the settings of replicas do not go together. A server that does not answer is no error.
    """
    readers = new_readers(settings, endpoints, clock or SystemClock(), metrics or ReadMetrics())
    try:
        await readers.checks.check()
        checking = asyncio.create_task(readers.checks.run(), name="replica health")
        try:
            yield readers
        finally:
            checking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await checking
    finally:
        await readers.close()


def new_readers(settings: Settings, endpoints: Endpoints, clock: Clock, metrics: ReadMetrics) -> ReplicaReaders:
    """Readers that know nothing of their servers yet. Raises SettingsRefused."""
    addresses = expected_replicas(settings, endpoints) if settings.flags.use_read_replicas else ()
    ranges = org_ranges(settings.replica.org_ranges or "") if addresses else ()
    pooled = settings.pool
    primary = ServerPool(
        PRIMARY,
        endpoints.database_url,
        _bounds(settings, pooled.primary_min, pooled.primary_max),
        clock,
        metrics,
    )
    bounds = _bounds(settings, pooled.replica_min, pooled.replica_max)
    replicas = [
        Replica(ServerPool(replica_name(number), each.url, bounds, clock, metrics), each.pool)
        for number, each in enumerate(addresses, 1)
    ]
    lag = LagBounds(settings.replica.lag_warn_seconds, settings.replica.lag_critical_seconds)
    seconds, answer_seconds = settings.replica.health_check_interval_seconds, settings.replica.answer_timeout_seconds
    servers = [_server(each.pool, answer_seconds) for each in replicas]
    checks = HealthChecks(_server(primary, answer_seconds), servers, lag, seconds, clock, metrics)
    catch_up_seconds = settings.replica.catch_up_ms / 1_000
    return ReplicaReaders(primary, replicas, ranges, checks, catch_up_seconds, clock, metrics)


def replica_name(number: int) -> str:
    """What a replica is called in metrics, logs and answers: by its place in the setting."""
    return f"replica{number}"


def expected_replicas(settings: Settings, endpoints: Endpoints) -> tuple[ReplicaAddress, ...]:
    """The replicas that the settings name. Raises SettingsRefused unless they go together with the other settings."""
    found = tuple(each for text in endpoints.replica_urls for each in replica_addresses(text))
    expected = settings.replica.count
    if expected is not None and len(found) != expected:
        raise SettingsRefused(
            f"FOLIO_REPLICA_COUNT={expected}, and FOLIO_REPLICA_URLS names {len(found)}: mend one of them"
        )
    try:
        check_together(found, org_ranges(settings.replica.org_ranges or ""))
    except ValueError as error:
        raise SettingsRefused(f"FOLIO_REPLICA_URLS and FOLIO_REPLICA_ORG_RANGES: {error}") from error
    return found


def _server(pool: ServerPool, answer_seconds: float) -> Server:
    return Server(pool.name, partial(ask_position, pool.url, answer_seconds), partial(_ready, pool), pool.give_up)


async def _ready(pool: ServerPool) -> None:
    with database_errors(f"opening connections to {pool.name}"):
        await pool.open()


def _bounds(settings: Settings, least: int, most: int) -> PoolBounds:
    pooled = settings.pool
    return PoolBounds(
        connections_min=least,
        connections_max=most,
        idle_seconds=pooled.idle_seconds,
        lifetime_seconds=pooled.lifetime_seconds,
        connect_seconds=settings.replica.answer_timeout_seconds,
        acquire_seconds=pooled.acquire_timeout_seconds,
        answer_seconds=settings.replica.answer_timeout_seconds,
        statement_seconds=pooled.statement_timeout_seconds,
        statement_cache_size=pooled.statement_cache_size,
        role=pooled.role,
    )
