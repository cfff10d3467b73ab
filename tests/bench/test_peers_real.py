"""A peer on real servers, with our own interpreter: it drains, is killed, and is held against the oracle."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import rounds
from bench.peers.catalogue import PEERS
from bench.peers.processes import running
from bench.progress import Progress
from bench.target import Stream, Target
from bench.workload import creations
from pipeline import settings as settings_module
from pipeline.stack import Endpoints

PYTHON = Path(sys.executable)  # it has what these peers need
COPY = next(peer for peer in PEERS if peer.name == "copy_2")
ONE_BY_ONE = next(peer for peer in PEERS if peer.name == "one_by_one_20")


@pytest.fixture
async def target(stack: Endpoints) -> AsyncIterator[Target]:
    # A database of its own within the cache: other tests have keys in the first.
    endpoints = replace(stack, redis_url=f"{stack.redis_url.rstrip('/')}/6")
    made = Target(endpoints, settings_module.load({}), Progress(), local=False)
    yield made
    await made.close()


async def loaded(target: Target, events: int) -> tuple[Stream, str]:
    stream = await target.stream(creations(events, orgs=40))
    return stream, await rounds.expect(target, stream)


async def test_what_is_missing_wrong_or_doubled_is_counted(target: Target) -> None:
    stream, expected = await loaded(target, 2_000)
    async with rounds._prepared(target, stream, expected, COPY, PYTHON) as (books, processes):
        with running(processes):
            await books.until_whole(processes.require_alive)
        assert (await books.differences()).none
        await books.connection.execute("UPDATE transactions SET category = NULL WHERE id = 7")
        await books.connection.execute("DELETE FROM transactions WHERE id IN (11, 12)")
        await books.connection.execute(
            "UPDATE daily_balances SET bank_expenses_cents = bank_expenses_cents + 1 "
            "WHERE org_id = (SELECT org_id FROM transactions WHERE id = 13)"
        )
        await books.connection.execute("INSERT INTO daily_balances VALUES (1, 1, '2020-01-01', 0, 0, 0, 0)")
        found = await books.differences()
    assert found.rows == 3
    assert found.days is not None
    assert 1 <= found.days <= 4, "every day of one organisation, and not the one of zeros"


async def test_a_round_is_measured_and_leaves_a_right_result(target: Target) -> None:
    stream, expected = await loaded(target, 1_500)
    done = await rounds.measured(target, stream, expected, ONE_BY_ONE, PYTHON)
    assert done.differences.none
    assert done.events == 1_500
    assert done.seconds > 0
    assert done.peak_mib > 10


async def test_positions_in_the_transaction_survive_kills(target: Target) -> None:
    stream, expected = await loaded(target, 20_000)
    assert (await rounds.killed(target, stream, expected, COPY, PYTHON)).none
