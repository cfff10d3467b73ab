"""Which organisations of a slice may hold a drift: what is right is passed over quickly, and judges nobody.

Both sides of a comparison are read from end to end, hashed row by row and put together by organisation, as tools that
compare replicas do. Sides that say the same come to the same; of an organisation where they do not, each row is looked
at closely. Sides that differ come to the same once in 2^31 at most, and each sieve asks with other hashes.
"""

import secrets
from typing import Final

import asyncpg

import sql
from pipeline.consistency.scope import Scope
from pipeline.rebuild.looking import Wanted

_SEED_BITS: Final = 62  # a bigint to which the digests may add
_ON: Final = "on"
_OFF: Final = "off"


async def suspect_orgs(connection: asyncpg.Connection, slice_: Scope, wanted: Wanted) -> list[int]:
    """Organisations of the slice that must be looked at closely, ascending, in the caller's transaction.

    Those whose drifts stand open are among them: what no sum tells of is not settled by one.
    """
    scope, seed = slice_.of_slice, secrets.randbits(_SEED_BITS)
    await connection.execute(sql.query("prefer_hashing"), _OFF)
    by_events = await connection.fetch(sql.query("suspect_orgs_by_events"), *scope, wanted.store_begins, seed)
    by_rows = await connection.fetch(sql.query("suspect_orgs_by_rows"), *scope, wanted.retained_from, seed)
    by_days = await connection.fetch(sql.query("suspect_orgs_by_days"), *scope, seed)
    await connection.execute(sql.query("prefer_hashing"), _ON)
    by_drifts = await connection.fetch(sql.query("drifted_orgs_of_slice"), *scope)
    return sorted({row[0] for rows in (by_events, by_rows, by_days, by_drifts) for row in rows})


async def orgs_of_slice(connection: asyncpg.Connection, slice_: Scope) -> list[int]:
    """All organisations of a slice, ascending."""
    return [row[0] for row in await connection.fetch(sql.query("orgs_of_slice"), *slice_.of_slice)]
