"""Lanes are locked in ascending order, whatever order they are named in: so two writers cannot deadlock."""

import asyncio

import asyncpg

from batchers.fence import lock_lanes


async def test_a_writer_that_waits_for_a_lower_lane_holds_no_higher_one(database: str) -> None:
    holder, waiter, witness = [await asyncpg.connect(database) for _ in range(3)]
    await holder.execute("INSERT INTO ops.lanes (lane) VALUES (3), (7), (5)")
    await holder.execute("BEGIN")
    await lock_lanes(holder, [3])
    await waiter.execute("BEGIN")
    waiting = asyncio.create_task(lock_lanes(waiter, [7, 3, 5]))
    await _until_blocked(witness, waiter.get_server_pid())
    # The order is the point: had the waiter taken 7 or 5 first, this would fail, and the holder would deadlock with it.
    free = await witness.fetch("SELECT lane FROM ops.lanes WHERE lane IN (5, 7) ORDER BY lane FOR UPDATE NOWAIT")
    assert [row["lane"] for row in free] == [5, 7]
    await holder.execute("COMMIT")
    assert sorted(await waiting) == [3, 5, 7]
    await waiter.execute("COMMIT")
    for connection in (holder, waiter, witness):
        await connection.close()


async def _until_blocked(witness: asyncpg.Connection, pid: int) -> None:
    async with asyncio.timeout(10):
        while not await witness.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid):
            await asyncio.sleep(0.01)
