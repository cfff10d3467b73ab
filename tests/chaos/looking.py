"""Looks at the books of an arena, past the links: sums over the lanes, dead letters, connections."""

from typing import Any

from tests.chaos.arena import Arena


async def total(arena: Arena, column: str) -> int:
    """A column of ops.lanes, summed."""
    return int(await value(arena, f"SELECT coalesce(sum({column}), 0) FROM ops.lanes"))


async def position(arena: Arena) -> int:
    """How many records of both feeds are behind the lanes' positions."""
    return await total(arena, "coalesce(finance_position, 0) + coalesce(corrections_position, 0)")


async def letters(arena: Arena, reason: str) -> int:
    """Dead letters of a reason."""
    return int(await value(arena, "SELECT count(*) FROM ops.dead_letters WHERE reason = $1", reason))


async def value(arena: Arena, query: str, *arguments: object) -> Any:
    """The one value of a query."""
    async with arena.nodes.primary.connected(arena.database_name) as connection:
        return await connection.fetchval(query, *arguments)
