"""How the replicas stand, asked once: for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.clock import SystemClock
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.replicas.choice import Condition, Health, LagBounds
from pipeline.storage.replicas.health import HealthChecks, Server
from pipeline.storage.replicas.metrics import PRIMARY, ReadMetrics
from pipeline.storage.replicas.opening import expected_replicas, replica_name
from pipeline.storage.replicas.position import ask_position


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server; `pool` is the group of a replica, empty for the primary."""

    name: str
    pool: str
    url: str
    health: Health

    @property
    def well(self) -> bool:
        return self.health.condition is Condition.WELL


async def replicas_status(settings: Settings, endpoints: Endpoints) -> Sequence[ServerStatus]:
    """The primary, then each replica in its order. Raises SettingsRefused; a server that is silent is a finding."""
    addresses = expected_replicas(settings, endpoints)
    urls = [endpoints.database_url, *(each.url for each in addresses)]
    names = [PRIMARY, *(replica_name(number) for number in range(1, len(urls)))]
    primary, *replicas = (_onlooker(name, url, settings) for name, url in zip(names, urls, strict=True))
    lag = LagBounds(settings.replica.lag_warn_seconds, settings.replica.lag_critical_seconds)
    interval_seconds = settings.replica.health_check_interval_seconds
    checks = HealthChecks(primary, replicas, lag, interval_seconds, SystemClock(), ReadMetrics(), tell=_silently)
    await checks.check()
    pools = ["", *(each.pool for each in addresses)]
    healths = [checks.primary, *checks.replicas]
    return [ServerStatus(*each) for each in zip(names, pools, urls, healths, strict=True)]


def _onlooker(name: str, url: str, settings: Settings) -> Server:
    """A server that is asked, and not read from."""
    return Server(name, partial(ask_position, url, settings.replica.answer_timeout_seconds), _nothing, lambda: None)


def _silently(_: str, __: Health) -> None:
    """What was found is the answer, and no line of the log."""


async def _nothing() -> None:
    """No connections are made ready: nobody will read."""
