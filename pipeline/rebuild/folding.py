"""From a transaction's stored events to its snapshot and its row: pure, by the writer's own `next_snapshot`."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from batchers.decide import Fingerprint, Snapshot, next_snapshot
from pipeline.errors import StoreDamaged
from schemas.codec import reread
from schemas.content_hash import HASH_VERSION, content_hash, content_hash_at
from schemas.events import FinanceEvent, TransactionData
from schemas.headers import unpacked_headers
from schemas.instants import Instant, moment_of
from schemas.records import Accepted, AggregateKey, Origin

Row = Sequence[Any] | asyncpg.Record
# Where a record came from decides nothing about the state that it leaves.
_ORIGIN: Final = Origin("", 0, 0, moment_of(0), None, None, ())


class StoredEvent(NamedTuple):
    """A row of rebuild_events. Instants are numbers (schemas.instants)."""

    org_id: int
    aggregate_type: str
    aggregate_id: int
    version: int
    property_id: int
    balance_date: date
    occurred_at: Instant
    appended_at: Instant
    recorded_at: Instant
    hash_version: int
    content_hash: bytes
    event_data: bytes
    headers: bytes | None
    currency: str
    outcome: str


class Folded(NamedTuple):
    """A transaction as its stored events leave it."""

    key: AggregateKey
    snapshot: Snapshot
    data: TransactionData  # of the newest event
    currency: str
    appended_at: Instant  # of the newest event, and when it was recorded
    recorded_at: Instant
    first_version: int  # that was applied


def fold(before: Folded | None, rows: Sequence[Row]) -> Folded:
    """Apply stored events, ascending by version, to what is known of a transaction. At least one of the two is there.

    Raises StoreDamaged for an event whose bytes are not what its hash says.
    """
    current = before.snapshot if before is not None else None
    rows = _effective(rows, current.version if current is not None else 0)
    for row in rows:
        if row[13] is None:
            raise StoreDamaged(
                f"{row[1]} {row[2]} of organisation {row[0]}: its property {row[4]} is not among finance.properties; "
                "load it again (folio properties)"
            )
        event = read_event(row)
        key = (row[0], row[1], row[2])
        record = Accepted(_ORIGIN, event, key, row[10], row[6], row[7])
        current = next_snapshot(current, record, row[5])
        if row[9] != HASH_VERSION:
            current = msgspec.structs.replace(current, fingerprint=Fingerprint(row[9], row[10]))
    if not rows:
        assert before is not None, "something was known, or was stored"
        return before
    assert current is not None, "there was at least one row"
    first_version = before.first_version if before is not None else rows[0][3]
    return Folded(key, current, event.data, row[13], row[7], row[8], first_version)


def _effective(rows: Sequence[Row], newest: int) -> Sequence[Row]:
    """Those that make the state: what was applied. The highest version is always among them.

    It may be stored as stale where a snapshot was tampered with, so that it seemed to be newer.
    """
    if len(rows) == 1 and not newest:
        return rows  # as most are
    if all(row[14] == "applied" for row in rows):
        return rows
    newest = max((row[3] for row in rows if row[14] == "applied"), default=newest)
    return [row for row in rows if row[14] == "applied" or row[3] > newest]


def read_event(row: Row) -> FinanceEvent:
    """The event in the bytes of a row of rebuild_events. Raises StoreDamaged."""
    where = f"{row[1]} {row[2]} of organisation {row[0]}, version {row[3]}"
    try:
        event = reread(row[11], unpacked_headers(row[12]) if row[12] else ())
        found = content_hash_at(event, row[6]) if row[9] == HASH_VERSION else content_hash(event, row[9])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise StoreDamaged(f"{where}: its stored bytes cannot be read ({error}); restore them from a backup") from error
    if found != row[10]:
        raise StoreDamaged(f"{where}: its stored bytes are not what its content hash says; restore them from a backup")
    named = (event.org_id, event.aggregate_id, event.version, event.property_id)
    if named != (row[0], row[2], row[3], row[4]) or not event.type.startswith(row[1]):
        raise StoreDamaged(
            f"{where}: its stored bytes are of another one than its columns say; restore it from a backup"
        )
    return event


def snapshot_row(folded: Folded) -> tuple[Any, ...]:
    """The columns of its snapshot, without the key, as they ought to be."""
    state = folded.snapshot
    return (
        state.version,
        state.fingerprint.hash_version,
        state.fingerprint.content_hash,
        state.property_id,
        state.occurred_at,
        state.balance_date,
        state.payment_mode,
        state.status,
        state.amount_cents,
        state.created_at,
        state.created_by_user_id,
        state.approved_at,
        state.approved_by_user_id,
        folded.recorded_at,
    )


def transaction_row(folded: Folded) -> tuple[Any, ...]:
    """The columns of its row, without the key, as they ought to be; rebuild_standing reads them in this order."""
    state, data = folded.snapshot, folded.data
    return (
        state.occurred_at,
        state.property_id,
        state.balance_date,
        state.amount_cents,
        folded.currency,
        state.payment_mode,
        state.status,
        data.category,
        data.description,
        data.bank_reference,
        data.source,
        state.version,
        state.created_by_user_id,
        state.created_at,
        state.approved_by_user_id,
        state.approved_at,
        folded.appended_at,
    )
