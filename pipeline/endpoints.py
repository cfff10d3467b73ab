"""Where the servers are: what the settings name, else what the local stack runs."""

from pipeline.errors import SettingsRefused
from pipeline.settings import Settings
from pipeline.stack import Endpoints, endpoints


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
    return Endpoints(database_url=database_url, kafka_bootstrap=kafka_bootstrap, redis_url=redis_url)
