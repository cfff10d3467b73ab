"""Which months of the store are there to judge by: asked by the transaction that reads them; none leaves meanwhile."""

from dataclasses import replace

import asyncpg

import sql
from pipeline.rebuild.looking import FROM_THE_BEGINNING, Wanted


async def with_months_held(connection: asyncpg.Connection, wanted: Wanted) -> Wanted:
    """What is wanted, judged by the months that are there from now to the end of this transaction.

    The first thing that it does: the lock comes before the snapshot, so that a month that has left is seen to have.
    """
    await connection.execute("LOCK TABLE event_store.events IN ACCESS SHARE MODE")
    begins = await connection.fetchval(sql.query("store_begins"))
    whole_store = wanted.whole_store and begins == FROM_THE_BEGINNING
    return replace(wanted, store_begins=begins, whole_store=whole_store)
