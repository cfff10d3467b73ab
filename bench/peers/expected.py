"""What a peer must have written: the topic folded by the product's oracle, in tables `expected.*` of one database.

`python -m bench.peers.expected`, a process of its own (it holds every event in memory), under the settings of a ground.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg

from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.oracle.books import Books, Ground, Stored
from pipeline.oracle.daily import movements
from pipeline.oracle.decode import Judged, judge
from pipeline.oracle.fold import fold
from pipeline.oracle.records import Rules
from pipeline.oracle.topics import FINANCE_EVENTS, connected
from pipeline.settings import Settings

TABLES: Final = Path(__file__).with_name("tables.sql")
_MAKE: Final = "CREATE SCHEMA expected; SET search_path = expected;"
# No worker of autovacuum has a reason to come by while something is measured.
_SETTLE: Final = "VACUUM (FREEZE, ANALYZE) transactions, daily_balances"
_BRANCHES: Final = ("transactions", "daily_balances")

Row = tuple[object, ...]


async def main(settings: Settings) -> None:
    """Fold, and fill the tables."""
    endpoints = resolve(settings)
    books = await _folded(endpoints.kafka_bootstrap, settings)
    connection = await asyncpg.connect(endpoints.database_url)
    try:
        await connection.execute(_MAKE + TABLES.read_text())
        for table, rows in zip(_BRANCHES, (transactions(books), daily_balances(books)), strict=True):
            await connection.copy_records_to_table(table, schema_name="expected", records=rows)
        await connection.execute(_SETTLE)
    finally:
        await connection.close()


async def _folded(bootstrap: str, settings: Settings) -> Books:
    async with connected(bootstrap, settings.kafka.topic_prefix) as log:
        spans = await log.extent(FINANCE_EVENTS)
        rules = {lane: [_rules(settings, span.start, len(spans))] for lane, span in spans.items()}
        events: dict[int, list[Judged]] = {lane: [] for lane in spans}
        async for records in log.read(FINANCE_EVENTS, spans):
            for record in records:
                events[record.lane].append(judge(record, rules[record.lane][0]))
    ground = Ground(
        rules=rules,
        loaded_currencies={},
        zones={},
        database_rejected=frozenset(),
        correction_rules={},
        corrections_rejected=frozenset(),
    )
    return fold(events, ground)


def _rules(settings: Settings, position: int, lanes: int) -> Rules:
    rules = settings.rules
    return Rules(
        position,
        rules.past_max,
        rules.future_max,
        rules.default_currency,
        rules.default_time_zone,
        rules.unknown_property,
        lanes,
    )


def transactions(books: Books) -> Iterator[Row]:
    """The newest state of each transaction, in the order of the columns."""
    return map(_row, books.newest.values())


def daily_balances(books: Books) -> Iterator[Row]:
    """The movements of each day that has any."""
    for (org_id, property_id), days in movements(books.newest.values(), {}).items():
        for day, moved in days.items():
            yield org_id, property_id, day, *moved


def _row(stored: Stored) -> Row:
    event, content = stored.event, stored.event.content
    return (
        event.org_id,
        event.aggregate_id,
        content.type,
        event.version,
        content.property_id,
        content.occurred_at,
        stored.balance_date,
        content.amount_cents,
        content.payment_mode,
        content.status,
        content.currency,
        content.category,
        content.description,
        content.bank_reference,
        content.source,
        content.user_id,
    )


if __name__ == "__main__":
    asyncio.run(main(settings_module.load()))
