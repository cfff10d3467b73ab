"""The verdict over a finished run: the oracle of `folio verify`, on tables and topics in memory."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from aiokafka import TopicPartition

from pipeline.cache import balances
from pipeline.oracle import database as oracle_database
from pipeline.oracle.reconcile import prove
from pipeline.oracle.records import Record
from pipeline.oracle.report import Report
from pipeline.oracle.spans import Span, UnprovenError
from pipeline.oracle.topics import REALTIME_UPDATES, _record
from schemas.dead_letters import LANE_HEADER, OFFSET_HEADER, TOPIC_HEADER
from schemas.topics import DEAD_LETTERS
from schemas.updates import split_updates
from tests.simulation.broker import Broker
from tests.simulation.cache import Cache
from tests.simulation.connection import connect
from tests.simulation.database import Bounds, Database
from tests.simulation.kafka_consumer import as_delivered
from tests.simulation.process import Process

RETENTION_MONTHS: Final = 24
_PATIENT: Final = Bounds(10, 10, 10)
_FILLED: Final = 3  # parts of a cached entry that holds a balance


class MemoryTopics:
    """What `pipeline.oracle.topics.Topics` reads from a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def name_of(self, topic: str) -> str:
        return topic

    async def extent(self, topic: str) -> dict[int, Span]:
        return {at.partition: Span(0, len(log)) for at, log in self._broker.logs.items() if at.topic == topic}

    async def read(self, topic: str, spans: Mapping[int, Span]) -> AsyncIterator[Sequence[Record]]:
        for lane, span in spans.items():
            partition = TopicPartition(topic, lane)
            stored = self._broker.logs[partition][span.start : span.end]
            yield [_record(lane, as_delivered(partition, each)) for each in stored]


async def reconciled(database: Database, broker: Broker, process: Process) -> Report:
    """Hold every table against the topics; `process` is the one that looks, and nothing befalls it."""
    connection: Any = await connect(database, process, _PATIENT, writer=False)
    topics: Any = MemoryTopics(broker)
    try:
        return await prove(oracle_database.Database(connection), topics, RETENTION_MONTHS, _silent)
    except UnprovenError as error:
        return Report(unproven=str(error))
    finally:
        await connection.close()


def untold_letters(database: Database, broker: Broker) -> Iterator[str]:
    """Dead letters that stand in one of table and topic alone.

    After a failover the topic may have more: what was refused of two lanes may be decided in another order then.
    """
    noted = set(database.tables["dead_letters"])
    records = [record for at, log in broker.logs.items() if at.topic == DEAD_LETTERS for record in log]
    told = {_identity(dict(record.headers)) for record in records}
    if noted - told:
        yield f"dead letters that were never told: {sorted(noted - told)}"
    if told - noted and database.timeline == 1:
        yield f"dead letters that nobody noted: {sorted(told - noted)}"


def _identity(headers: Mapping[str, bytes | None]) -> tuple[str, int, int]:
    topic, lane, offset = (headers[name] or b"" for name in (TOPIC_HEADER, LANE_HEADER, OFFSET_HEADER))
    return topic.decode(), int(lane), int(offset)


def waits_for_invalidation(database: Database, day: tuple[int, int, date]) -> bool:
    """Whether a change of the day waits in an outbox."""
    return any(
        (update.org_id, update.property_id, update.balance_date) == day
        for row in database.tables["outbox"].values()
        for update, _ in split_updates(row["updates"])
    )


def stale_entries(database: Database, cache: Cache) -> Iterator[str]:
    """Balances that the cache holds and that are older than what is committed; nothing waits any more."""
    for (org_id, property_id, day), row in database.tables["balances"].items():
        key = balances._key(database.epoch, (org_id, property_id), day)
        entry = cache.get(key)
        parts = entry.split(b"|", 2) if entry is not None else []
        if len(parts) == _FILLED and int(parts[0]) < row["version"]:
            yield f"the cache holds version {int(parts[0])} of {key}, committed is {row['version']}"


def updates_told(broker: Broker) -> int:
    """How many updates the topic holds, repetitions included."""
    return sum(len(log) for at, log in broker.logs.items() if at.topic == REALTIME_UPDATES)


def _silent(_what: str, _done: int, _total: int) -> None:
    return
