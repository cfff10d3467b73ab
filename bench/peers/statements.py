"""The statements of those peers that speak to PostgreSQL themselves.

Each is written whole, as its user would write it: what they share is not put together here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from bench.peers.events import Row, Total

_FOLDER: Final = Path(__file__).with_name("sql")


def statement(name: str) -> str:
    """The statement of `sql/<name>.sql`."""
    return (_FOLDER / f"{name}.sql").read_text()


PUT_ROW: Final = statement("put_row")
ADD_TO_DAY: Final = statement("add_to_day")
_PUT_STAGED: Final = statement("put_staged")
_ADD_TO_DAYS: Final = statement("add_to_days")
# One for the life of a connection: made anew for each batch it would bloat the catalogs.
MAKE_STAGED: Final = "CREATE TEMP TABLE staged (LIKE transactions)"


async def put_rows(connection: asyncpg.Connection, rows: Sequence[Row], way: str) -> None:
    """Upsert the rows: by `executemany`, or staged by `copy` and upserted from there.

    One statement over arrays (unnest) was tried, and was slower than both.
    """
    if way == "executemany":
        await connection.executemany(PUT_ROW, rows)
    else:
        await connection.copy_records_to_table("staged", records=rows)
        await connection.execute(_PUT_STAGED)
        await connection.execute("TRUNCATE staged")


async def add_to_days(connection: asyncpg.Connection, totals: Sequence[Total]) -> None:
    """Add what a batch brought to its days."""
    if totals:
        await connection.execute(_ADD_TO_DAYS, *zip(*totals, strict=True))
