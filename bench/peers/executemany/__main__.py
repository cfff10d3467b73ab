"""Batches, each in one transaction with the positions it brings the partitions to.

Correct after a kill: the positions are read from the database. Not fenced: partitions belong to processes by number,
and nothing stops a process that was taken for dead and started twice.
"""

from typing import Final

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bench.peers.arguments import Arguments, arguments, tell_first_fetch
from bench.peers.events import decode, row, totals
from bench.peers.statements import MAKE_STAGED, add_to_days, put_rows, statement

# Tried from 1,000 to 20,000: it rises up to 5,000, and no further.
_BATCH_RECORDS: Final = 5_000
_FETCH_BYTES: Final = 4 << 20
_MOVE_POSITION: Final = statement("move_position")
_POSITIONS: Final = "SELECT partition, position FROM positions"


async def main(given: Arguments) -> None:
    connection = await asyncpg.connect(given.database_url, server_settings={"search_path": given.schema})
    await connection.execute(MAKE_STAGED)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=given.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    await consumer.start()
    partitions = await _partitions(given)
    consumer.assign(partitions)
    known = {row["partition"]: row["position"] for row in await connection.fetch(_POSITIONS)}
    for partition in partitions:
        consumer.seek(partition, known.get(partition.partition, 0))
    first = True
    while True:
        fetched = await consumer.getmany(timeout_ms=1000, max_records=_BATCH_RECORDS)
        if not fetched:
            continue
        if first:
            tell_first_fetch()
            first = False
        rows = [row(decode(record.value)) for records in fetched.values() for record in records]
        positions = [(partition.partition, records[-1].offset + 1) for partition, records in fetched.items()]
        async with connection.transaction():
            await put_rows(connection, rows, given.way)
            await add_to_days(connection, totals(rows))
            await connection.executemany(_MOVE_POSITION, positions)


async def _partitions(given: Arguments) -> list[TopicPartition]:
    """Those of this process."""
    admin = AIOKafkaAdminClient(bootstrap_servers=given.bootstrap)
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([given.topic])
    finally:
        await admin.close()
    numbers = sorted(partition["partition"] for partition in topic["partitions"])
    return [TopicPartition(given.topic, number) for number in numbers if number % given.processes == given.process]


if __name__ == "__main__":
    uvloop.run(main(arguments()))
