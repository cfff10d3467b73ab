"""Where the servers are: what the settings name, else what the local stack runs; and what stack they ask for."""

from collections.abc import Mapping
from typing import Final

from pipeline.errors import SettingsRefused
from pipeline.settings import Settings
from pipeline.settings_layers import Key
from pipeline.stack import Endpoints, StackConfig, endpoints
from pipeline.stack.config import PartName

# The setting that puts an external server in the place of a part.
SERVER_SETTINGS: Final[Mapping[PartName, Key]] = {
    "postgres": ("database", "url"),
    "kafka": ("kafka", "bootstrap"),
    "valkey": ("redis", "url"),
}


def resolve(settings: Settings) -> Endpoints:
    """The addresses of the database, the broker and the cache.

    Raises SettingsRefused naming what neither the settings nor the local stack know.
    """
    stack = endpoints(settings.stack.dir)
    found = {
        "FOLIO_DATABASE_URL": settings.database.url or (stack.database_url if stack else None),
        "FOLIO_KAFKA_BOOTSTRAP": settings.kafka.bootstrap or (stack.kafka_bootstrap if stack else None),
        "FOLIO_REDIS_URL": settings.redis.url or (stack.redis_url if stack else None),
    }
    missing = [name for name, address in found.items() if address is None]
    if missing:
        raise SettingsRefused(
            f"{', '.join(missing)}: not set, and no local stack runs in {settings.stack.dir}; "
            "set them, or start one with `folio stack up`"
        )
    database_url, kafka_bootstrap, redis_url = found.values()
    assert database_url is not None
    assert kafka_bootstrap is not None
    assert redis_url is not None
    # Only of the database that is asked for: another one's replicas would have other books.
    of_the_stack = stack.replica_urls if stack and not settings.database.url else ()
    named = (settings.replica.urls,) if settings.replica.urls else of_the_stack
    return Endpoints(
        database_url=database_url, kafka_bootstrap=kafka_bootstrap, redis_url=redis_url, replica_urls=named
    )


def resolve_database(settings: Settings) -> str:
    """The address of the database, for commands that need nothing else: a job of a scheduler is told no more.

    Raises SettingsRefused when neither the settings nor the local stack know it.
    """
    if settings.database.url is not None:
        return settings.database.url
    stack = endpoints(settings.stack.dir)
    if stack is None:
        raise SettingsRefused(
            f"FOLIO_DATABASE_URL: not set, and no local stack runs in {settings.stack.dir}; "
            "set it, or start one with `folio stack up`"
        )
    return stack.database_url


def external_servers(settings: Settings) -> dict[PartName, str]:
    """The servers that the settings name, by the part of the local stack that each replaces."""
    named: dict[PartName, str | None] = {
        "postgres": settings.database.url,
        "kafka": settings.kafka.bootstrap,
        "valkey": settings.redis.url,
    }
    return {part: address for part, address in named.items() if address}


def stack_config(settings: Settings, ports: Mapping[str, int] | None = None) -> StackConfig:
    """The local stack that the settings ask for; `ports` are those that must be these."""
    return StackConfig(
        settings.stack.dir,
        external_servers(settings),
        ports or {},
        maven_url=settings.stack.maven_url,
        replicas=settings.stack.replicas,
    )
