"""The client of the cache."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.settings import RedisSettings


def new_redis(url: str, settings: RedisSettings) -> Redis:
    """A client whose every wait is bounded; retrying is the caller's."""
    return Redis.from_url(
        url,
        socket_timeout=settings.timeout_seconds,
        socket_connect_timeout=settings.timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        max_connections=8,
    )
