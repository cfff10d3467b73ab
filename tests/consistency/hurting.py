"""Rows of the books hurt at random, in every way that constraints allow; and which ones must be found."""

from collections.abc import Sequence
from random import Random
from typing import Final

import asyncpg

Name = tuple[str, int, str]  # kind, organisation, subject

_BALANCE: Final = "finance.daily_cash_balances_partitioned"
_THE_DAY: Final = "WHERE org_id = $1 AND property_id = $2 AND balance_date = $3"
# Each closing follows from the rest of the row, or the table would refuse it.
_CLOSE: Final = (
    f"UPDATE {_BALANCE} SET {{0}}, calculated_closing_balance_cents = calculated_closing_balance_cents + {{1}}, "
    "closing_balance_cents = coalesce(declared_closing_cents, calculated_closing_balance_cents + {1}), "
    "balance_discrepancy_cents = coalesce(declared_closing_cents - calculated_closing_balance_cents - {1}, 0) "
    + _THE_DAY
)
BALANCES: Final = (
    _CLOSE.format("cash_received_cents = cash_received_cents + 5", 5),
    _CLOSE.format("bank_received_cents = bank_received_cents + 5", 0),
    _CLOSE.format("cash_expenses_cents = cash_expenses_cents + 3", -3),
    _CLOSE.format("bank_expenses_cents = bank_expenses_cents + 5", 0),
    _CLOSE.format("opening_balance_cents = opening_balance_cents - 9", -9),
    (
        f"UPDATE {_BALANCE} SET declared_closing_cents = coalesce(declared_closing_cents, 0) + 1000003, "
        "closing_balance_cents = coalesce(declared_closing_cents, 0) + 1000003, balance_discrepancy_cents = "
        f"coalesce(declared_closing_cents, 0) + 1000003 - calculated_closing_balance_cents {_THE_DAY}"
    ),
    f"DELETE FROM {_BALANCE} {_THE_DAY}",
)
_A_SNAPSHOT: Final = "WHERE org_id = $1 AND aggregate_type = $2 AND aggregate_id = $3"
SNAPSHOTS: Final = (
    (
        "UPDATE event_store.snapshots SET amount_cents = amount_cents + 1, contribution_cents = contribution_cents + "
        f"CASE status WHEN 'approved' THEN 1 ELSE 0 END {_A_SNAPSHOT}"
    ),
    (
        "UPDATE event_store.snapshots SET status = CASE status WHEN 'approved' THEN 'pending' ELSE 'approved' END, "
        f"contribution_cents = CASE status WHEN 'approved' THEN 0 ELSE amount_cents END {_A_SNAPSHOT}"
    ),
    (
        "UPDATE event_store.snapshots SET payment_mode = CASE payment_mode WHEN 'cash' THEN 'bank' ELSE 'cash' END "
        f"{_A_SNAPSHOT}"
    ),
    f"UPDATE event_store.snapshots SET balance_date = balance_date - 1 {_A_SNAPSHOT}",
    f"UPDATE event_store.snapshots SET version = version + 1 {_A_SNAPSHOT}",
    f"UPDATE event_store.snapshots SET content_hash = '\\x00' {_A_SNAPSHOT}",
    f"DELETE FROM event_store.snapshots {_A_SNAPSHOT}",
)
_A_ROW: Final = "WHERE org_id = $1 AND id = $2"
TRANSACTIONS: Final = (
    f"UPDATE {{}} SET amount_cents = amount_cents + 1 {_A_ROW}",
    f"UPDATE {{}} SET status = CASE status WHEN 'approved' THEN 'pending' ELSE 'approved' END {_A_ROW}",
    f"UPDATE {{}} SET balance_date = balance_date - 1 {_A_ROW}",
    f"UPDATE {{}} SET occurred_at = occurred_at - interval '40 days' {_A_ROW}",
    f"UPDATE {{}} SET version = version + 1 {_A_ROW}",
    f"DELETE FROM {{}} {_A_ROW}",
)
# What no sum tells of: only a check of every byte finds these.
TEXTS: Final = (
    f"UPDATE {{}} SET description = coalesce(description, '') || '!' {_A_ROW}",
    f"UPDATE {{}} SET category = 'another' {_A_ROW}",
    f"UPDATE {{}} SET bank_reference = 'another' {_A_ROW}",
)


async def hurt(
    connection: asyncpg.Connection,
    chance: Random,
    *,
    balances: int,
    transactions: int,
    snapshots: int,
    ways: Sequence[str] = TRANSACTIONS,
) -> set[Name]:
    """Hurt so many rows of each table; returns their names as drifts have them. `ways`: how transactions are hurt."""
    days = await connection.fetch(
        f"SELECT org_id, property_id, balance_date FROM {_BALANCE} WHERE (cash_received_cents, bank_received_cents, "
        "cash_expenses_cents, bank_expenses_cents) <> (0, 0, 0, 0) ORDER BY 1, 2, 3"
    )
    keys = [
        tuple(row)
        for row in await connection.fetch(
            "SELECT org_id, aggregate_type, aggregate_id, occurred_at > now() - interval '23 months' "
            "FROM event_store.snapshots ORDER BY 1, 2, 3"
        )
    ]
    names: set[Name] = set()
    for org, property_, day in chance.sample(days, balances):
        await _do(connection, chance.choice(BALANCES), org, property_, day)
        names.add(("balance", org, f"property {property_} {day}"))
    retained = [key[:3] for key in keys if key[3]]
    for org, kind, id_ in chance.sample(retained, transactions):
        await _do(connection, chance.choice(ways).format(f"finance.{kind}s_partitioned"), org, id_)
        names.add(("transaction", org, f"{kind} {id_}"))
    for org, kind, id_ in chance.sample([key[:3] for key in keys], snapshots):
        await _do(connection, chance.choice(SNAPSHOTS), org, kind, id_)
        names.add(("snapshot", org, f"{kind} {id_}"))
    return names


async def _do(connection: asyncpg.Connection, statement: str, *arguments: object) -> None:
    assert (await connection.execute(statement, *arguments)).split()[-1] == "1", statement


async def found(connection: asyncpg.Connection) -> set[Name]:
    """The names of the drifts that stand open."""
    rows: Sequence[asyncpg.Record] = await connection.fetch(
        "SELECT kind, org_id, subject FROM ops.drifts WHERE repaired_at IS NULL"
    )
    return {(row[0], row[1], row[2]) for row in rows}
