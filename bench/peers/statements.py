"""The statements of those peers that speak to PostgreSQL themselves."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from bench.peers.events import Row, Total

COLUMNS: Final = (
    *("org_id", "id", "type", "version", "property_id", "occurred_at", "balance_date", "amount_cents"),
    *("payment_mode", "status", "currency", "category", "description", "bank_reference", "source"),
    "created_by_user_id",
)
_TYPES: Final = (
    *("bigint", "bigint", "text", "integer", "bigint", "timestamptz", "date", "bigint"),
    *("text", "text", "text", "text", "text", "text", "text", "bigint"),
)
_NAMES: Final = ", ".join(COLUMNS)
_ROW_KNOWN: Final = "ON CONFLICT (org_id, id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in COLUMNS[2:]
)
_DAY_KNOWN: Final = """
    ON CONFLICT (org_id, property_id, balance_date) DO UPDATE SET
        cash_received_cents = days.cash_received_cents + excluded.cash_received_cents,
        bank_received_cents = days.bank_received_cents + excluded.bank_received_cents,
        cash_expenses_cents = days.cash_expenses_cents + excluded.cash_expenses_cents,
        bank_expenses_cents = days.bank_expenses_cents + excluded.bank_expenses_cents
"""
PUT_ROW: Final = (
    f"INSERT INTO transactions ({_NAMES}) "
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(COLUMNS) + 1))}) {_ROW_KNOWN}"
)
ADD_TO_DAY: Final = f"INSERT INTO daily_balances AS days VALUES ($1, $2, $3, $4, $5, $6, $7) {_DAY_KNOWN}"
_PUT_ROWS: Final = (
    f"INSERT INTO transactions ({_NAMES}) "
    f"SELECT * FROM unnest({', '.join(f'${n}::{type_}[]' for n, type_ in enumerate(_TYPES, 1))}) {_ROW_KNOWN}"
)
_PUT_STAGED: Final = f"INSERT INTO transactions ({_NAMES}) SELECT {_NAMES} FROM staged {_ROW_KNOWN}"
_ADD_TO_DAYS: Final = f"""
    INSERT INTO daily_balances AS days
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    {_DAY_KNOWN}
"""
# One for the life of a connection: made anew for each batch it would bloat the catalogs.
MAKE_STAGED: Final = "CREATE TEMP TABLE staged (LIKE transactions)"


async def put_rows(connection: asyncpg.Connection, rows: Sequence[Row], way: str) -> None:
    """Upsert the rows: by `executemany`, by one statement over arrays (`unnest`), or staged by `copy`."""
    if way == "executemany":
        await connection.executemany(PUT_ROW, rows)
    elif way == "unnest":
        await connection.execute(_PUT_ROWS, *zip(*rows, strict=True))
    else:
        await connection.copy_records_to_table("staged", records=rows, columns=COLUMNS)
        await connection.execute(_PUT_STAGED)
        await connection.execute("TRUNCATE staged")


async def add_to_days(connection: asyncpg.Connection, totals: Sequence[Total]) -> None:
    """Add what a batch brought to its days."""
    if totals:
        await connection.execute(_ADD_TO_DAYS, *zip(*totals, strict=True))
