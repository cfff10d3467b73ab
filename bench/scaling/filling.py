"""Tables that hold millions of rows already: filled by SQL, because a drain of as many would take hours.

The rows belong to the organisations of the workload, so that by organisation they lie among those that are written, on
the same pages of the same indexes; but to transactions and properties that no event ever names. Their transactions
have lower numbers than the workload's, as older ones have. After the measurement they are deleted again, and the
oracle finds the books as the topic alone makes them.
"""

from pathlib import Path
from typing import Final

import asyncpg

from bench.progress import Progress

# An event that is applied leaves about so many rows in each: the store's events, snapshots, transactions, balances.
_SHARES: Final = {"events": 0.36, "snapshots": 0.26, "transactions": 0.26, "balances": 0.12}
_CHUNK: Final = 250_000
_FOLDER: Final = Path(__file__).parent
# Rows of nobody's: below every number of a transaction, and above every number of a property, that a workload makes.
_UNFILL: Final = (
    "DELETE FROM event_store.events WHERE aggregate_id < 0",
    "DELETE FROM event_store.snapshots WHERE aggregate_id < 0",
    "DELETE FROM finance.revenues_partitioned WHERE id < 0",
    "DELETE FROM finance.daily_cash_balances_partitioned WHERE property_id >= 1000000000000",
)


def planned(rows: int) -> dict[str, int]:
    """How many rows go to each table, `rows` in all."""
    counts = {table: int(rows * share) for table, share in _SHARES.items()}
    counts["events"] += rows - sum(counts.values())
    return counts


async def fill(connection: asyncpg.Connection, before: int, rows: int, orgs: int, progress: Progress) -> None:
    """From `before` filled rows (0: a migrated database) to `rows` of them; leaves a database at rest."""
    await connection.execute("SET synchronous_commit = off")
    filled = planned(before)
    for table, count in planned(rows).items():
        statement = (_FOLDER / f"fill_{table}.sql").read_text()
        for first in range(filled[table], count, _CHUNK):
            progress.count(f"filling {table}", first, count)
            await connection.execute(statement, first, min(first + _CHUNK, count) - 1, orgs)
    # What autovacuum would otherwise do in the middle of a round.
    await connection.execute("VACUUM (ANALYZE)")


async def unfill(url: str) -> None:
    """Take away what `fill` put there."""
    connection = await asyncpg.connect(url)
    try:
        for statement in _UNFILL:
            await connection.execute(statement)
    finally:
        await connection.close()
