"""Whether the database is still the primary that our claims were made on (ADR 12)."""

import asyncpg

import sql
from pipeline.errors import FenceLost


async def require_primary(connection: asyncpg.Connection, cluster_epoch: str) -> None:
    """Raises FenceLost when another one has taken over.

    The numbers of lost claims are given out again: an owner_epoch alone does not tell our claim from its successor's.
    """
    now = await connection.fetchval(sql.query("cluster_epoch"))
    if now != cluster_epoch:
        raise FenceLost(f"the database was taken over: {now} is the primary, not {cluster_epoch}")
