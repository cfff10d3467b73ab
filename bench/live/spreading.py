"""How evenly work and rows are spread: over lanes, and over the hash partitions of the balances."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

# By the remainder that each partition takes; an empty one counts, too.
_BALANCES: Final = """
    SELECT c.relname AS name, count(b.tableoid) AS rows
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    LEFT JOIN finance.daily_cash_balances_partitioned AS b ON b.tableoid = c.oid
    WHERE i.inhparent = 'finance.daily_cash_balances_partitioned'::regclass
    GROUP BY 1 ORDER BY 1
"""
_OUTCOMES: Final = """
    SELECT lane, applied, duplicate, stale, conflict, quarantined FROM ops.lanes ORDER BY lane
"""


class Spread(msgspec.Struct, frozen=True):
    """Counts by part. `unevenness` is the largest part against the mean: 1 is perfectly even."""

    parts: dict[str, int]

    @property
    def unevenness(self) -> float:
        return unevenness(list(self.parts.values()))


class Outcomes(msgspec.Struct, frozen=True):
    """What became of the records, by lane as consumed, and in all."""

    consumed: Spread
    totals: dict[str, int]

    def errors(self, sent: int) -> float:
        """The share of records that did no good for reasons of ours: every one was sent valid and in order.

        A duplicate was sent twice on purpose; whatever else is not applied, or not consumed at all, is an error.
        """
        good = self.totals.get("applied", 0) + self.totals.get("duplicate", 0)
        return (sent - good) / sent if sent else 0.0


def unevenness(counts: Sequence[int]) -> float:
    """The largest against the mean; 0 where there is nothing."""
    return max(counts) * len(counts) / sum(counts) if any(counts) else 0.0


def outcomes(lanes: Sequence[Mapping[str, int]]) -> Outcomes:
    """From the rows of `ops.lanes`."""
    totals: Counter[str] = Counter()
    consumed: dict[str, int] = {}
    for row in lanes:
        counts = {name: count for name, count in row.items() if name != "lane"}
        totals.update(counts)
        consumed[f"lane {row['lane']}"] = sum(counts.values())
    return Outcomes(Spread(consumed), dict(totals))


async def balances_spread(connection: asyncpg.Connection) -> Spread:
    """Rows by hash partition."""
    return Spread({row["name"]: row["rows"] for row in await connection.fetch(_BALANCES)})


async def lane_outcomes(connection: asyncpg.Connection) -> Outcomes:
    """What became of the records."""
    return outcomes([dict(row) for row in await connection.fetch(_OUTCOMES)])
