"""The stages of the real product on real servers: all is committed, published and proved, and every stage shows."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bench.limiting.jobs import feed, fetch, stages
from bench.limiting.measuring import Shape, alone, shares_of
from bench.limiting.metering import BOOKS, COMMIT, DECODE, ENCODE, FETCH, INVALIDATE, PUBLISH
from bench.progress import Progress
from bench.proving import prove
from bench.target import MIGRATED, Target
from bench.workload import mixed
from pipeline import settings as settings_module
from pipeline.stack import Endpoints

EVENTS = 3_000


@pytest.fixture
async def target(stack: Endpoints) -> AsyncIterator[Target]:
    # A database of its own within the cache: other tests have keys in the first.
    own = replace(stack, redis_url=f"{stack.redis_url.rstrip('/')}/9")
    settings = settings_module.load({"FOLIO_KAFKA_LANES": "4", "FOLIO_BATCH_ROWS_MAX": "1000"})
    made = Target(own, settings, Progress(), local=False)
    yield made
    await made.close()


async def test_every_stage_of_the_product_shows_and_its_books_are_right(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLIO_BATCH_ROWS_MAX", "1000")
    stream = await target.stream(mixed(EVENTS, orgs=50))
    fetched, _ = await alone(target, stream, MIGRATED, fetch, [[[0, 1]], [[2, 3]]])
    assert fetched.events == EVENTS
    assert all(done.stages[DECODE] > 0 and done.stages[FETCH] > 0 for done in fetched.done)

    fed, _ = await alone(target, stream, MIGRATED, feed, shares_of(4, Shape(1, 2)))
    assert fed.events == EVENTS
    assert len(fed.done[0].backends) == 2
    assert min(fed.done[0].backends) > 0

    staged, ground = await alone(target, stream, MIGRATED, stages, [[[0, 1], [2, 3]]])
    [done] = staged.done
    assert done.events == EVENTS
    # As the product cuts them at a backlog: full ones, and what is left.
    assert EVENTS / 1000 <= done.batches <= EVENTS / 1000 + 2
    for stage in (*BOOKS, ENCODE, COMMIT, PUBLISH, INVALIDATE):
        assert done.stages[stage] > 0, stage
    assert {"append_events", "COPY staging_events", "COMMIT"} <= done.statements.keys()
    # Of what the backends did, statements are nearly all.
    assert 0.8 * sum(done.backends) < sum(done.statements.values()) <= 1.01 * sum(done.backends)
    proof = await prove(ground)
    assert proof.differences == 0, proof.summary
