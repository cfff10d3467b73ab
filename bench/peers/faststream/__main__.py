"""A subscriber that is handed batches, writes each in one transaction, and acknowledges it afterwards.

At least once: a batch that was committed, and not yet acknowledged, is added to its days again after a kill.
"""

import asyncio
from typing import Any, Final

import asyncpg
import uvloop
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker

from bench.peers.arguments import SESSION_TIMEOUT_SECONDS, Arguments, arguments, tell_first_fetch
from bench.peers.events import Event, decode, row, totals
from bench.peers.statements import MAKE_STAGED, add_to_days, put_rows

_BATCH_RECORDS: Final = 5_000
# How long a batch may gather: the default of 0.1 s would end most of them early while the client is catching up.
_POLL_SECONDS: Final = 0.5


async def main(given: Arguments) -> None:
    connection = await asyncpg.connect(given.database_url, server_settings={"search_path": given.schema})
    await connection.execute(MAKE_STAGED)
    # Neither pydantic nor dependencies: the decoder below hands over what the subscriber takes.
    broker = KafkaBroker(given.bootstrap, apply_types=False, logger=None)
    first = True

    async def write(events: list[Event]) -> None:
        nonlocal first
        if first:
            tell_first_fetch()
            first = False
        rows = list(map(row, events))
        async with connection.transaction():
            await put_rows(connection, rows, given.way)
            await add_to_days(connection, totals(rows))

    broker.subscriber(
        given.topic,
        group_id=given.group,
        batch=True,
        max_records=_BATCH_RECORDS,
        polling_interval=_POLL_SECONDS,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_SECONDS * 1000,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        decoder=_decode,
    )(write)
    await FastStream(broker, logger=None).run()


async def _decode(message: Any) -> list[Event]:
    return list(map(decode, message.body))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(arguments()))
