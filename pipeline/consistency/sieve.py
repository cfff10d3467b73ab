"""Which organisations of a slice may hold a drift: what is right is passed over quickly, and judges nobody.

Both sides of a comparison are read from end to end, hashed row by row and put together by organisation, as tools that
compare replicas do. Sides that say the same come to the same; of an organisation where they do not, each row is looked
at closely. Two faults of one organisation hide each other when their hashes do: once in 2^64.
"""

from typing import Final

import asyncpg

import sql
from pipeline.consistency.scope import Scope, slices_for
from pipeline.rebuild.looking import Wanted

# The store's columns of so many are joined in memory, 400 MB of it. Sides that are only added up need not be cut.
_JOINED_MAX: Final = 2_500_000
_ON: Final = "on"
_OFF: Final = "off"


async def suspect_orgs(connection: asyncpg.Connection, slice_: Scope, wanted: Wanted, transactions: int) -> list[int]:
    """Organisations of the slice that must be looked at closely, ascending, in the caller's transaction.

    Those whose drifts stand open are among them: what no sum tells of is not settled by one.
    """
    scope = slice_.of_slice
    await connection.execute(sql.query("prefer_hashing"), _OFF)
    by_events: list[asyncpg.Record] = []
    for part in slice_.parts(slices_for(transactions, _JOINED_MAX)):
        query = sql.query("suspect_orgs_by_events")
        by_events += await connection.fetch(query, *part.of_slice, wanted.store_begins)
    by_rows = await connection.fetch(sql.query("suspect_orgs_by_rows"), *scope, wanted.retained_from)
    by_days = await connection.fetch(sql.query("suspect_orgs_by_days"), *scope)
    await connection.execute(sql.query("prefer_hashing"), _ON)
    by_drifts = await connection.fetch(sql.query("drifted_orgs_of_slice"), *scope)
    return sorted({row[0] for rows in (by_events, by_rows, by_days, by_drifts) for row in rows})


async def orgs_of_slice(connection: asyncpg.Connection, slice_: Scope) -> list[int]:
    """All organisations of a slice, ascending."""
    return [row[0] for row in await connection.fetch(sql.query("orgs_of_slice"), *slice_.of_slice)]
