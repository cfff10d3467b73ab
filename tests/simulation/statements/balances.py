"""Days, and the corrections of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from tests.simulation.database import Key, Row, Transaction
from tests.simulation.statements.registry import Moment, Staged, Values, names, picked, statement

_BALANCE: Final = (
    "org_id property_id balance_date version opening_balance_cents cash_received_cents bank_received_cents "
    "cash_expenses_cents bank_expenses_cents declared_closing_cents last_event_id"
)
MOVEMENTS: Final = "cash_received_cents bank_received_cents cash_expenses_cents bank_expenses_cents"


@statement("read_balances", _BALANCE)
async def _read_balances(
    at: Transaction,
    _staged: Staged,
    _moment: Moment,
    orgs: Sequence[int],
    properties: Sequence[int],
    from_dates: Sequence[date],
    limit: int | None,
) -> Values:
    days: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
    for (org_id, property_id, _), row in at.rows("balances"):
        days[org_id, property_id].append(row)
    found = []
    for org_id, property_id, from_date in sorted(zip(orgs, properties, from_dates, strict=True)):
        of_property = sorted(days[org_id, property_id], key=lambda row: row["balance_date"])
        first = max((row["balance_date"] for row in of_property if row["balance_date"] < from_date), default=from_date)
        found += [picked(row, _BALANCE) for row in of_property if row["balance_date"] >= first]
    return found[:limit]


@statement("append_balances")
async def _append_balances(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    for row in in_key_order(staged.get("staging_balances", ())):
        if row["version"] == 1:
            await at.insert("balances", day_of(row), row)
    return ()


@statement("upsert_balances")
async def _upsert_balances(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    for row in in_key_order(staged.get("staging_balances", ())):
        if row["version"] > 1:
            await at.put("balances", day_of(row), row)
    return ()


def day_of(row: Row) -> Key:
    return row["org_id"], row["property_id"], row["balance_date"]


def in_key_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=day_of)


@statement("read_corrections", "org_id correction_id hash_version content_hash")
async def _read_corrections(at: Transaction, _staged: Staged, _moment: Moment, *keys: Sequence[Any]) -> Values:
    rows = [at.get("corrections", key) for key in zip(*keys, strict=True)]
    return [picked(row, "org_id correction_id hash_version content_hash") for row in rows if row is not None]


@statement("append_corrections")
async def _append_corrections(at: Transaction, _staged: Staged, _moment: Moment, *columns: Sequence[Any]) -> Values:
    columns_of = names(
        "org_id correction_id property_id balance_date kind declared_closing_cents hash_version "
        "content_hash lane record_offset finance_position appended_at recorded_at issued_at "
        "recorded_by_user_id reason correction_data headers"
    )
    for values in zip(*columns, strict=True):
        row = dict(zip(columns_of, values, strict=True))
        await at.insert("corrections", (row["org_id"], row["correction_id"]), row)
    return ()


@statement("append_adjustments")
async def _append_adjustments(at: Transaction, _staged: Staged, _moment: Moment, *columns: Sequence[Any]) -> Values:
    moved = ["org_id", "property_id", "balance_date", "correction_id"]
    moved += [f"{name.removesuffix('_cents')}_before_cents" for name in MOVEMENTS.split()]
    moved += [f"{name.removesuffix('_cents')}_after_cents" for name in MOVEMENTS.split()]
    for values in zip(*columns, strict=True):
        row = dict(zip([*moved, "recorded_at"], values, strict=True))
        await at.insert("adjustments", (row["org_id"], row["correction_id"]), row)
    return ()


@statement("booked_figures", f"org_id property_id balance_date {MOVEMENTS} declared_closing_cents")
async def _booked_figures(at: Transaction, _staged: Staged, _moment: Moment, *keys: Sequence[Any]) -> Values:
    found = []
    for day in zip(*keys, strict=True):
        figures = dict.fromkeys(MOVEMENTS.split(), 0)
        for _, row in at.rows("snapshots"):
            if day_of(row) == day:
                flow = "received" if row["aggregate_type"] == "revenue" else "expenses"
                figures[f"{row['payment_mode']}_{flow}_cents"] += row["contribution_cents"]
        for _, row in at.rows("adjustments"):
            if day_of(row) == day:
                for name in figures:
                    part = name.removesuffix("_cents")
                    figures[name] += row[f"{part}_after_cents"] - row[f"{part}_before_cents"]
        counts = [row for _, row in at.rows("corrections") if day_of(row) == day and row["kind"] == "declared_closing"]
        newest = max(counts, key=lambda row: row["recorded_at"], default=None)
        found.append((*day, *figures.values(), newest["declared_closing_cents"] if newest is not None else None))
    return found
