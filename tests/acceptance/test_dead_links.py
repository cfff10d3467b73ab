"""A link to the database that is cut, or goes silent, at the edges of a session: the worker lives, and ends in time."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.acceptance.test_membership import creations
from tests.support.proxy import Wire
from tests.support.stream import Stream
from tests.support.waiting import until

# Short bounds, so that a silent link is noticed soon.
_BOUNDS = {"DATABASE_TRANSACTION_TIMEOUT_SECONDS": "1", "DATABASE_LOCK_TIMEOUT_SECONDS": "1"}


async def _leave_an_unpublished_batch(stream: Stream) -> None:
    """What a predecessor would have left: the next owner of the lane reads the outbox."""
    async with stream.database() as connection:
        await connection.execute("INSERT INTO ops.lanes (lane) SELECT generate_series(0, $1 - 1)", stream.lanes)
        await connection.execute("INSERT INTO ops.outbox VALUES (0, 1, gen_random_uuid(), now(), 0, '')")
        await connection.execute("UPDATE ops.lanes SET outbox_seq = 1 WHERE lane = 0")


@pytest.mark.parametrize("statement", [b"_pogo_migration", b"claim_lane", b"record_rules", b"read_outbox"])
@pytest.mark.parametrize("death", [Wire.reset_at, Wire.fall_silent_at], ids=["reset", "silent"])
async def test_a_worker_outlives_a_dead_link(
    stream: Stream, statement: bytes, death: Callable[[Wire, bytes], None]
) -> None:
    await _leave_an_unpublished_batch(stream)
    direct = stream.endpoints
    async with Wire(direct.database_url).laid() as wire:
        death(wire, statement)
        stream.endpoints = replace(direct, database_url=wire.url)
        with stream.worker(**_BOUNDS) as worker:
            stream.endpoints = direct
            await stream.send(creations(1, 100))
            await stream.wait_until_consumed(100)
            assert wire.cuts == 1
            assert await worker.stop() == 0


async def test_a_shutdown_does_not_wait_for_a_silent_link(stream: Stream) -> None:
    await _leave_an_unpublished_batch(stream)
    async with Wire(stream.endpoints.database_url).laid() as wire:
        wire.fall_silent_at(b"read_outbox", connections=2)  # of the publisher, and of the invalidator
        stream.endpoints = replace(stream.endpoints, database_url=wire.url)
        with stream.worker(WORKER_SHUTDOWN_GRACE_SECONDS="3") as worker:
            await worker.wait_for_log("lanes claimed")

            async def silent() -> bool:
                return wire.cuts == 2

            await until(silent)
            started = time.monotonic()
            assert await worker.stop() == 0
            assert time.monotonic() - started < 3 + 2, worker.log
