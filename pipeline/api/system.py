"""What operators ask of a server: how it stands, its databases, its connections, its figures. Every one is measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from pipeline.api.access import operators_only
from pipeline.api.parts import Ask, PartHealth, ask_parts
from pipeline.api.problems import documented
from pipeline.api.realtime.admission import Gateway
from pipeline.masking import masked
from pipeline.storage.replicas.choice import Health
from pipeline.storage.replicas.pool import ServerPool
from pipeline.storage.replicas.router import ReplicaReaders

_REFUSALS: Final = documented(401, 403, 503)


@dataclass(frozen=True, slots=True)
class Overseen:
    """What the routes look at."""

    readers: ReplicaReaders
    registry: CollectorRegistry
    parts: Mapping[str, Ask]  # how each server behind this one is asked whether it answers


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """A database server, as reads are sent to it or not. `lag_*` is null where it is not known, and for the primary."""

    name: str
    condition: str
    usable: bool
    lag_bytes: int | None
    lag_seconds: float | None
    epoch: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class ServerLag:
    """How far a replica is behind."""

    name: str
    lag_bytes: int | None
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class ServerStats:
    """What a server was asked since this process began: answered, by declared intent, passed over, failed."""

    name: str
    answered: int
    behind: int
    failed: int


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The connections of this process to a server."""

    name: str
    open: int
    in_use: int
    max: int
    used_share: float


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """Whether this process can serve; the database servers one by one, and every part as it answers now."""

    healthy: bool
    servers: list[ServerHealth]
    parts: list[PartHealth]


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of this process, by its name and labels."""

    name: str
    labels: dict[str, str]
    value: float


@get("/readyz", include_in_schema=False)
async def ready(overseen: NamedDependency[Overseen], gateway: NamedDependency[Gateway]) -> Response[dict[str, bool]]:
    """Whether requests may be sent here; as the last look found it, for anybody may ask this."""
    can = may_serve(overseen.readers) and not gateway.hub.draining
    return Response({"ready": can}, status_code=HTTP_200_OK if can else HTTP_503_SERVICE_UNAVAILABLE)


class SystemReads(Controller):
    """For operators alone."""

    path = "/v1/system"
    guards = (operators_only,)
    tags = ("System",)

    @get("/health", responses=_REFUSALS, summary="Whether this process can serve")
    async def health(self, overseen: NamedDependency[Overseen]) -> SystemHealth:
        """It can while a database may answer reads: without Redis they take longer, without Kafka no event comes in."""
        parts = await ask_parts(overseen.parts)
        servers = server_healths(overseen.readers)
        return SystemHealth(may_serve(overseen.readers), servers, parts)

    @get("/metrics/aggregated", responses=_REFUSALS, summary="Every figure of this process")
    async def aggregated(self, overseen: NamedDependency[Overseen]) -> list[Sample]:
        """As Prometheus would be given them, as JSON."""
        return [
            Sample(sample.name, dict(sample.labels), sample.value)
            for family in overseen.registry.collect()
            for sample in family.samples
        ]

    @get(
        "/metrics/prometheus",
        responses={HTTP_200_OK: ResponseSpec(str, description="Text format", media_type="text/plain"), **_REFUSALS},
        summary="The same for Prometheus",
    )
    async def prometheus(self, overseen: NamedDependency[Overseen]) -> Response[bytes]:
        """In its text format."""
        return Response(generate_latest(overseen.registry), media_type=CONTENT_TYPE_LATEST)

    @get("/database/replicas/health", responses=_REFUSALS, summary="Primary and replicas, as reads see them")
    async def replicas_health(self, overseen: NamedDependency[Overseen]) -> list[ServerHealth]:
        """As the last look found them, at most one interval ago."""
        return server_healths(overseen.readers)

    @post(
        "/database/replicas/health-check",
        status_code=HTTP_200_OK,
        responses=_REFUSALS,
        summary="Look at all of them now",
    )
    async def check_replicas(self, overseen: NamedDependency[Overseen]) -> list[ServerHealth]:
        """Asks each server once, and says what it found."""
        await overseen.readers.checks.check()
        return server_healths(overseen.readers)

    @get("/database/replicas/lag", responses=_REFUSALS, summary="How far replicas are behind")
    async def lag(self, overseen: NamedDependency[Overseen]) -> list[ServerLag]:
        """An upper bound on the age of what each shows."""
        _primary, *replicas = server_healths(overseen.readers)
        return [ServerLag(each.name, each.lag_bytes, each.lag_seconds) for each in replicas]

    @get("/database/replicas/stats", responses=_REFUSALS, summary="What each server has answered")
    async def stats(self, overseen: NamedDependency[Overseen]) -> list[ServerStats]:
        """Since this process began."""
        told = ((pool.name, overseen.readers.metrics.told(pool.name)) for pool in overseen.readers.pools)
        return [ServerStats(name, each.answered, each.behind, each.failed) for name, each in told]

    @get("/database/connection-pool/stats", responses=_REFUSALS, summary="Connections of this process")
    async def pools(self, overseen: NamedDependency[Overseen]) -> list[PoolStats]:
        """How many are open, in use, and allowed."""
        return [pool_stats(pool) for pool in overseen.readers.pools]


def pool_stats(pool: ServerPool) -> PoolStats:
    """One pool, now."""
    in_use, most = pool.connections_in_use(), pool.bounds.connections_max
    return PoolStats(pool.name, pool.open_connections(), in_use, most, round(in_use / most, 4))


def may_serve(readers: ReplicaReaders) -> bool:
    """Whether one server may answer reads."""
    return any(each.usable for each in (readers.checks.primary, *readers.checks.replicas))


def server_healths(readers: ReplicaReaders) -> list[ServerHealth]:
    """The primary, then the replicas."""
    primary, *replicas = readers.pools
    found = [(primary.name, readers.checks.primary)]
    found += [(pool.name, health) for pool, health in zip(replicas, readers.checks.replicas, strict=True)]
    return [_told(name, health) for name, health in found]


def _told(name: str, health: Health) -> ServerHealth:
    return ServerHealth(
        name,
        health.condition.value,
        health.usable,
        health.lag_bytes,
        health.lag_seconds,
        health.epoch,
        masked(health.detail),
    )
