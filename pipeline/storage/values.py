"""What the repositories answer: typed values, never rows. Money in integer cents, instants in UTC."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Generic, Literal, TypeVar
from uuid import UUID

from pipeline.errors import ReadRefused
from schemas.codec import reread
from schemas.events import FinanceEvent
from schemas.records import Headers

Kind = Literal["revenue", "expense"]
KINDS: Final[tuple[Kind, ...]] = ("revenue", "expense")
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")

# A page crosses the wire as a whole, and its rows become objects: a thousand take about 10 ms and a megabyte.
PAGE_ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT, KeyT]):
    """Some items in the order of their keys, and the key to go on after; None at the end."""

    items: tuple[ItemT, ...]
    next: KeyT | None


@dataclass(frozen=True, slots=True)
class Balance:
    """A day of a property, as its row says."""

    property_id: int
    balance_date: date
    version: int
    opening_balance_cents: int
    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int
    calculated_closing_balance_cents: int
    declared_closing_cents: int | None  # None: nobody counted
    closing_balance_cents: int
    balance_discrepancy_cents: int
    last_event_id: UUID | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RecordedBalance:
    """A day of a property, as the books stood at an instant of recording. It has no version: no row was kept of it."""

    property_id: int
    balance_date: date
    recorded_at: datetime
    opening_balance_cents: int
    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int
    calculated_closing_balance_cents: int
    declared_closing_cents: int | None
    closing_balance_cents: int
    balance_discrepancy_cents: int


@dataclass(frozen=True, slots=True)
class Property:
    """A hotel, as reports name it. `name` is None until somebody loads one."""

    property_id: int
    name: str | None
    currency: str
    opening_cash_cents: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """The newest version of a revenue or expense."""

    kind: Kind
    id: int
    property_id: int
    balance_date: date
    occurred_at: datetime
    amount_cents: int
    currency: str
    payment_mode: str
    status: str
    category: str | None
    description: str | None
    bank_reference: str | None
    source: str | None
    version: int
    created_by_user_id: int
    created_by_name: str | None  # None: no event has named the user
    created_at: datetime
    approved_by_user_id: int | None
    approved_at: datetime | None
    updated_at: datetime | None  # None: past retention its row is gone, and with it category to source


@dataclass(frozen=True, slots=True)
class TransactionKey:
    """The place of a transaction in its day."""

    occurred_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of a transaction as the event store keeps it. `outcome`: applied or stale."""

    version: int
    event_type: str
    event_id: UUID
    property_id: int
    balance_date: date
    occurred_at: datetime
    appended_at: datetime
    recorded_at: datetime
    outcome: str
    event_data: bytes
    headers: Headers

    def event(self) -> FinanceEvent:
        """What its bytes say: decoded only when asked for."""
        return reread(self.event_data, self.headers)


@dataclass(frozen=True, slots=True)
class Total:
    """How many transactions of one kind, mode and status a day has, and how much they come to."""

    kind: Kind
    payment_mode: str
    status: str
    transactions: int
    amount_cents: int


@dataclass(frozen=True, slots=True)
class DailyReport:
    """A property's day. `balance` is None where the day has no row, which equals a day on which nothing moved.

    Without `transactions_kept` the day began before retention's edge: its transactions have left, some or all of them,
    or never had a row. Totals and transactions are of what is left, the balance of everything.
    """

    property: Property
    balance_date: date
    balance: Balance | None
    transactions_kept: bool
    totals: tuple[Total, ...]
    revenues: Page[Transaction, TransactionKey]
    expenses: Page[Transaction, TransactionKey]


@dataclass(frozen=True, slots=True)
class OverviewLine:
    """A property, and its latest day with a row; None: it has none yet."""

    property: Property
    latest: Balance | None


@dataclass(frozen=True, slots=True)
class MonthSummary:
    """A property's calendar month, added up from its days. `month` is the first of them."""

    property_id: int
    month: date
    opening_balance_cents: int
    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int
    closing_balance_cents: int
    balance_discrepancy_cents: int  # the sum of its days'
    days_with_a_row: int
    days_counted: int


def checked_limit(limit: int) -> int:
    """Raises ReadRefused unless a page may have so many rows."""
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise ReadRefused(f"a page of {limit} rows: 1 to {PAGE_ROWS_MAX:,} are accepted")
    return limit


def checked_kind(kind: str) -> Kind:
    """Raises ReadRefused for what is neither of the two."""
    for known in KINDS:
        if kind == known:
            return known
    raise ReadRefused(f"{kind[:40]!r} is no kind of transaction: {' and '.join(KINDS)} are")
