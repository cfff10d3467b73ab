"""Whether the servers behind this one answer, asked now: each once, all together, and none longer than the bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis.asyncio import Redis

from pipeline.api.sending import Sender
from pipeline.cache.errors import cache_errors
from pipeline.errors import PipelineError
from pipeline.masking import masked
from pipeline.storage.replicas.position import ask_position

# Whoever asks for the health of a server waits for the slowest of its parts.
ANSWER_SECONDS: Final = 1.0

Ask = Callable[[], Awaitable[object]]


def parts_of(database_url: str, redis: Redis, sender: Sender) -> dict[str, Ask]:
    """How each server behind this one is asked: the database by a connection of its own, the others by those in use."""

    async def ask_redis() -> None:
        with cache_errors("asking Redis"):
            await redis.ping()

    return {
        "database": partial(ask_position, database_url, ANSWER_SECONDS),
        "redis": ask_redis,
        "kafka": sender.ask_broker,
    }


@dataclass(frozen=True, slots=True)
class PartHealth:
    """A part, as it answered or not. `seconds` is how long that took; `detail` is empty where it did."""

    name: str
    reachable: bool
    seconds: float
    detail: str


async def ask_parts(parts: Mapping[str, Ask]) -> list[PartHealth]:
    """Each part by its name, in the order in which they are named."""
    return list(await asyncio.gather(*(_asked(name, ask) for name, ask in parts.items())))


async def _asked(name: str, ask: Ask) -> PartHealth:
    began, detail = time.monotonic(), ""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await ask()
    except TimeoutError:
        detail = f"no answer within {ANSWER_SECONDS:g} s"
    except PipelineError as error:
        detail = masked(str(error))
    return PartHealth(name, not detail, round(time.monotonic() - began, 6), detail)
