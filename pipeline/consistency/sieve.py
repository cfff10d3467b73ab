"""Which organisations of a slice may hold a drift: what is right is passed over quickly, and judges nobody.

Both sides of a comparison are read from end to end, hashed row by row and put together by organisation, as tools that
compare replicas do. Sides that say the same come to the same; of an organisation where they do not, each row is looked
at closely. Sides that differ come to the same once in 2^24 at most, and each sieve draws anew what it asks with.
"""

import secrets
from math import isqrt
from typing import Final

import asyncpg

import sql
from pipeline.consistency.scope import Scope
from pipeline.rebuild.looking import Wanted

_SEED_BITS: Final = 62  # a bigint to which the digests may add
_PRIME_BITS: Final = 31  # what is taken by it can be multiplied within a bigint
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
    by_days = await connection.fetch(sql.query("suspect_orgs_by_days"), *scope, seed, drawn_prime())
    await connection.execute(sql.query("prefer_hashing"), _ON)
    by_drifts = await connection.fetch(sql.query("drifted_orgs_of_slice"), *scope)
    return sorted({row[0] for rows in (by_events, by_rows, by_days, by_drifts) for row in rows})


def drawn_prime() -> int:
    """One of the fifty million primes between 2^30 and 2^31: an error is a multiple of two of them at most."""
    while True:
        number = secrets.randbits(_PRIME_BITS - 1) | 1 << (_PRIME_BITS - 1) | 1
        if all(number % divisor for divisor in range(3, isqrt(number) + 1, 2)):
            return number


async def orgs_of_slice(connection: asyncpg.Connection, slice_: Scope) -> list[int]:
    """All organisations of a slice, ascending."""
    return [row[0] for row in await connection.fetch(sql.query("orgs_of_slice"), *slice_.of_slice)]
