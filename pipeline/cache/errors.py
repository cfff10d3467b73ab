"""The client's exceptions become ours: apart from `pipeline.translate`, because few commands need a client so large."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from pipeline.errors import CacheUnavailable
from pipeline.translate import heed_cancellation, lost_answers


@contextmanager
def cache_errors(doing: str) -> Iterator[None]:
    """Raises CacheUnavailable for what redis raises inside, and CancelledError where the client has lost one."""
    try:
        with lost_answers():
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise CacheUnavailable(f"{doing}: {type(error).__name__}: {error}") from error
    finally:
        heed_cancellation()
