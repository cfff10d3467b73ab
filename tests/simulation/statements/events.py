"""Store, snapshots, revenues and expenses."""

from collections.abc import Sequence
from typing import Any, Final

from tests.simulation.database import Key, Row, Transaction
from tests.simulation.statements.registry import Moment, Staged, Values, names, picked, statement

_SNAPSHOT: Final = (
    "org_id aggregate_type aggregate_id version hash_version content_hash property_id occurred_at balance_date "
    "payment_mode status amount_cents created_at created_by_user_id approved_at approved_by_user_id"
)
_CREATED: Final = ("created_at", "created_by_user_id")  # an upsert leaves these as they are
_EVENT: Final = names(
    "recorded_at lane record_offset org_id aggregate_type aggregate_id version event_type event_id "
    "property_id balance_date occurred_at appended_at outcome hash_version content_hash event_data "
    "headers"
)
_TRANSACTION: Final = names(
    "property_id balance_date amount_cents currency payment_mode status category description "
    "bank_reference source version created_by_user_id created_at approved_by_user_id approved_at"
)


@statement("read_snapshots", _SNAPSHOT)
async def _read_snapshots(at: Transaction, _staged: Staged, _moment: Moment, *keys: Sequence[Any]) -> Values:
    rows = [at.get("snapshots", key) for key in zip(*keys, strict=True)]
    return [picked(row, _SNAPSHOT) for row in rows if row is not None]


_PROBED: Final = "org_id aggregate_type aggregate_id version hash_version content_hash"


@statement("probe_versions", _PROBED)
async def _probe_versions(at: Transaction, _staged: Staged, _moment: Moment, *keys: Sequence[Any]) -> Values:
    wanted = set(zip(*keys, strict=True))
    rows = [picked(row, _PROBED) for _, row in at.rows("events")]
    return [row for row in rows if tuple(row[:4]) in wanted]


@statement("append_events")
async def _append_events(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    for row in staged.get("staging_events", ()):
        # The store's index of identities is not unique: what is stored twice is there twice.
        key = (row["recorded_at"], row["lane"], row["record_offset"])
        await at.insert("events", key, {name: row[name] for name in _EVENT})
    return ()


_LINK: Final = (
    "lane seq batch_id owner_epoch cluster_epoch events corrections first_recorded_at last_recorded_at "
    "previous_head head"
)


@statement("append_chain_links")
async def _append_chain_links(at: Transaction, _staged: Staged, _moment: Moment, *values: Any) -> Values:
    row = dict(zip(names(_LINK), values, strict=True))
    await at.insert("chain_links", (row["lane"], row["seq"]), row)
    return ()


def _staged_by(staged: Staged, booking: str) -> list[Row]:
    rows = [row for row in staged.get("staging_events", ()) if row["booking"] == booking]
    return sorted(rows, key=lambda row: (row["org_id"], row["aggregate_type"], row["aggregate_id"]))


def _snapshot_of(row: Row) -> tuple[Key, Row]:
    columns = [*_SNAPSHOT.split(), "contribution_cents"]
    return (row["org_id"], row["aggregate_type"], row["aggregate_id"]), {name: row[name] for name in columns}


@statement("append_snapshots")
async def _append_snapshots(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    for row in _staged_by(staged, "new"):
        await at.insert("snapshots", *_snapshot_of(row))
    return ()


@statement("upsert_snapshots")
async def _upsert_snapshots(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    for row in _staged_by(staged, "known"):
        key, new = _snapshot_of(row)
        before = await at.lock("snapshots", key)
        kept = {name: before[name] for name in _CREATED} if before is not None else {}
        await at.put("snapshots", key, new | kept)
    return ()


async def _append_transactions(at: Transaction, staged: Staged, kind: str) -> Values:
    for row in _staged_by(staged, "new"):
        if row["retained"] and row["aggregate_type"] == kind:
            await at.insert(f"{kind}s", *_transaction_of(row))
    return ()


async def _upsert_transactions(at: Transaction, staged: Staged, kind: str) -> Values:
    for row in _staged_by(staged, "known"):
        if row["retained"] and row["aggregate_type"] == kind:
            key, new = _transaction_of(row)
            before = await at.lock(f"{kind}s", key)
            kept = {name: before[name] for name in _CREATED} if before is not None else {}
            await at.put(f"{kind}s", key, new | kept)
    return ()


def _transaction_of(row: Row) -> tuple[Key, Row]:
    new = {name: row[name] for name in _TRANSACTION} | {"updated_at": row["appended_at"]}
    return (row["org_id"], row["aggregate_id"], row["occurred_at"]), new


async def _delete_moved(at: Transaction, kind: str, keys: Sequence[Sequence[Any]]) -> Values:
    for key in zip(*keys, strict=True):
        await at.delete(f"{kind}s", key)
    return ()


@statement("append_revenues")
async def _append_revenues(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    return await _append_transactions(at, staged, "revenue")


@statement("append_expenses")
async def _append_expenses(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    return await _append_transactions(at, staged, "expense")


@statement("upsert_revenues")
async def _upsert_revenues(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    return await _upsert_transactions(at, staged, "revenue")


@statement("upsert_expenses")
async def _upsert_expenses(at: Transaction, staged: Staged, _moment: Moment) -> Values:
    return await _upsert_transactions(at, staged, "expense")


@statement("delete_moved_revenues")
async def _delete_moved_revenues(at: Transaction, _staged: Staged, _moment: Moment, *keys: Sequence[Any]) -> Values:
    return await _delete_moved(at, "revenue", keys)


@statement("delete_moved_expenses")
async def _delete_moved_expenses(at: Transaction, _staged: Staged, _moment: Moment, *keys: Sequence[Any]) -> Values:
    return await _delete_moved(at, "expense", keys)
