"""Each event in a transaction of its own, `--tasks` of them at once; a chunk's offsets are committed when all are done.

At least once: an event that was committed, and its offset not, is added to its day again after a kill.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer

from bench.peers.arguments import SESSION_TIMEOUT_SECONDS, Arguments, arguments, tell_first_fetch
from bench.peers.events import Row, decode, figures, row
from bench.peers.statements import ADD_TO_DAY, PUT_ROW, statement

# Of the server's 100, and far more than two cores can keep busy; more tasks than this wait for a connection.
_CONNECTIONS_MAX: Final = 50
_CHUNK_RECORDS: Final = 5_000
_BOTH: Final = statement("put_row_and_add_to_day")


async def main(given: Arguments) -> None:
    pool = await _pool(given)
    consumer = AIOKafkaConsumer(
        given.topic,
        bootstrap_servers=given.bootstrap,
        group_id=given.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_SECONDS * 1000,
    )
    await consumer.start()
    first = True
    while True:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=_CHUNK_RECORDS)
        values = [record.value for records in fetched.values() for record in records]
        if values:
            if first:
                tell_first_fetch()
                first = False
            events = iter(values)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(given.tasks):
                    tasks.create_task(_write_each(pool, events, given.way))
            await consumer.commit()


async def _write_each(pool: "asyncpg.Pool[Any]", values: Iterator[bytes], way: str) -> None:
    for value in values:
        each = row(decode(value))
        async with pool.acquire() as connection:
            if way == "one_statement":
                await connection.execute(_BOTH, *each, *figures(each))
            else:
                await _in_steps(connection, each)


async def _in_steps(connection: asyncpg.pool.PoolConnectionProxy, each: Row) -> None:
    async with connection.transaction():
        await connection.execute(PUT_ROW, *each)
        await connection.execute(ADD_TO_DAY, each[0], each[4], each[6], *figures(each))


async def _pool(given: Arguments) -> "asyncpg.Pool[Any]":
    connections = min(given.tasks, _CONNECTIONS_MAX)
    return await asyncpg.create_pool(
        given.database_url,
        min_size=connections,
        max_size=connections,
        server_settings={"search_path": given.schema},
        # Nothing is left behind in a session here: no round trip to clear it after each event.
        reset=_keep,
    )


async def _keep(_connection: Any) -> None:
    pass


if __name__ == "__main__":
    uvloop.run(main(arguments()))
