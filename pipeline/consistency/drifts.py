"""A row that is not what it is derived from: what is there, and what ought to be. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, get_args

from pipeline.rebuild.folding import Folded, Row, snapshot_row, transaction_row
from pipeline.rebuild.looking import Wrong
from schemas.instants import moment_of
from schemas.records import AggregateKey

# In the order of repair: each follows from the ones before.
Kind = Literal["event", "snapshot", "transaction", "balance"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
Document = Mapping[str, Any]

_INSTANTS: Final = frozenset({"occurred_at", "created_at", "approved_at", "updated_at"})
SNAPSHOT_FIELDS: Final = (
    *("version", "hash_version", "content_hash", "property_id", "occurred_at", "balance_date", "payment_mode"),
    *("status", "amount_cents", "created_at", "created_by_user_id", "approved_at", "approved_by_user_id", "updated_at"),
)
TRANSACTION_FIELDS: Final = (
    *("occurred_at", "property_id", "balance_date", "amount_cents", "currency", "payment_mode", "status", "category"),
    *("description", "bank_reference", "source", "version", "created_by_user_id", "created_at", "approved_by_user_id"),
    *("approved_at", "updated_at"),
)
BALANCE_FIELDS: Final = (
    *("opening_balance_cents", "cash_received_cents", "bank_received_cents", "cash_expenses_cents"),
    *("bank_expenses_cents", "declared_closing_cents"),
)


@dataclass(frozen=True, slots=True)
class Drift:
    """A row of the books that is wrong. None: it is missing, or it ought not to be there."""

    kind: Kind
    org_id: int
    subject: str
    before: Document | None
    after: Document | None

    @property
    def differs(self) -> list[str]:
        """The columns that are wrong; of a row that is missing or too many, only that."""
        if self.kind == "event":
            return ["event_data"]
        if self.before is None:
            return ["missing"]
        if self.after is None:
            return ["surplus"]
        return [name for name, value in self.after.items() if self.before.get(name) != value]


def transaction_subject(key: AggregateKey) -> str:
    """How a transaction is named within its organisation."""
    return f"{key[1]} {key[2]}"


def day_subject(property_id: int, day: date) -> str:
    """How a day is named within its organisation."""
    return f"property {property_id} {day.isoformat()}"


def day_of_subject(subject: str) -> tuple[int, date]:
    """The property and the day of a balance's subject."""
    _, property_id, day = subject.split(" ")
    return int(property_id), date.fromisoformat(day)


def transaction_drifts(wrong: Wrong, snapshot: Row | None, rows: Sequence[Row]) -> Iterator[Drift]:
    """What is wrong about a transaction: its snapshot, its row, or both. What stands comes with its key before it."""
    org_id, subject = wrong.key[0], transaction_subject(wrong.key)
    if wrong.snapshot:
        stood = _document(SNAPSHOT_FIELDS, snapshot[3:]) if snapshot is not None else None
        yield Drift("snapshot", org_id, subject, stood, _right(wrong.folded, SNAPSHOT_FIELDS))
    if wrong.row:
        found = [_document(TRANSACTION_FIELDS, row[3:]) for row in rows]
        several: Document | None = {"rows": found} if found else None
        before: Document | None = found[0] if len(found) == 1 else several
        yield Drift("transaction", org_id, subject, before, _right(wrong.folded, TRANSACTION_FIELDS))


def balance_drift(row: Row) -> Drift:
    """A row of drifted_balances."""
    org_id, property_id, day, there = row[:4]
    before = dict(zip(BALANCE_FIELDS, row[5:11], strict=True)) if there else None
    return Drift(
        "balance", org_id, day_subject(property_id, day), before, dict(zip(BALANCE_FIELDS, row[11:17], strict=True))
    )


def unreadable_event(key: AggregateKey, why: str) -> Drift:
    """A transaction whose stored bytes are not what they were: what ought to stand nobody can say."""
    return Drift("event", key[0], transaction_subject(key), {"error": why}, None)


def _right(folded: Folded | None, fields: Sequence[str]) -> Document | None:
    if folded is None:
        return None
    return _document(fields, snapshot_row(folded) if fields is SNAPSHOT_FIELDS else transaction_row(folded))


def _document(fields: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {name: _shown(name, value) for name, value in zip(fields, values, strict=True)}


def _shown(name: str, value: Any) -> Any:
    if name in _INSTANTS and value is not None:
        return moment_of(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value
