"""A workload with a past, on real servers: it is booked before the events, and again when its topics were made anew."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from bench.draining import drain_round, ready
from bench.progress import Progress
from bench.proving import prove
from bench.target import Target
from bench.workload import mixed
from pipeline import settings as settings_module
from pipeline.stack import Endpoints


@pytest_asyncio.fixture
async def target(stack: Endpoints) -> AsyncIterator[Target]:
    # A database of its own within the cache: other tests have keys in the first, and each round empties it.
    own = replace(stack, redis_url=f"{stack.redis_url.rstrip('/')}/11")
    made = Target(own, settings_module.load({}), Progress(), local=False)
    yield made
    await made.close()


async def test_topics_that_were_removed_and_loaded_again_are_drained_like_the_first(target: Target) -> None:
    workload = replace(mixed(200, orgs=4), name="carried", late_days_max=5, history_days=5, history_density=0.9)
    for _ in range(2):
        stream, template = await ready(target, workload, workers=1, lanes=2)
        done, ground = await drain_round(target, stream, 1, template)
        assert done.events == stream.loaded.events
        proof = await prove(ground)
        assert proof.differences == 0, proof.summary
        await target.forget(stream)
