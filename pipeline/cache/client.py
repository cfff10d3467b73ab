"""The client of the cache."""

import hiredis
from redis import DataError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.settings import RedisSettings

_Argument = bytes | str | int


def new_redis(url: str, settings: RedisSettings, connections_max: int = 8) -> Redis:
    """A client whose every wait is bounded, that for a free connection too; retrying is the caller's."""
    pool = BlockingConnectionPool.from_url(
        url,
        socket_timeout=settings.timeout_seconds,
        socket_connect_timeout=settings.timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        max_connections=connections_max,
        timeout=settings.timeout_seconds,
    )
    # The class that the URL stands for would replace one that is given with it.
    pool.connection_class = _packing_in_c(pool.connection_class)
    return Redis.from_pool(pool)


def _packing_in_c(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """The same connection with commands packed by hiredis, which redis-py itself uses in its synchronous client only.

    In Python each argument copies all those before it, up to 6,000 bytes: most of what an invalidation cost.
    """

    class PackingInC(connection_class):  # type: ignore[misc, valid-type]  # the URL says which class it is
        def pack_command(self, name: str | bytes, *args: _Argument) -> list[bytes]:
            # A command of two words, such as CONFIG GET, is two arguments.
            words = (name.encode() if isinstance(name, str) else name).split()
            try:
                return [hiredis.pack_command((*words, *args))]  # type: ignore[arg-type]  # its stub says a tuple of one
            except TypeError as error:
                raise DataError(str(error)) from error

    return PackingInC
