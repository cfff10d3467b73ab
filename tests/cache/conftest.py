"""The real cache, in a database of the server that no worker uses."""

from collections.abc import AsyncIterator

import pytest_asyncio
from redis.asyncio import Redis

from pipeline.stack import Endpoints

# So that emptying it disturbs nobody.
OUR_DATABASE = 9


@pytest_asyncio.fixture
async def redis(stack: Endpoints) -> AsyncIterator[Redis]:
    client = Redis.from_url(stack.redis_url, db=OUR_DATABASE)
    try:
        yield client
    finally:
        await client.aclose()
