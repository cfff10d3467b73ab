"""Finance events as producers emit them: one Struct per shape, exact about types and ranges.

Unknown fields are ignored here and kept in the event store, which stores the record's own bytes.
"""

from datetime import datetime
from typing import Annotated, Final, Literal, get_args
from uuid import UUID

from msgspec import Meta, Struct

AMOUNT_CENTS_MAX: Final = 10**12  # ten billion in units of a currency with cents: above any hotel's single entry

Identifier = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
AmountCents = Annotated[int, Meta(ge=1, le=AMOUNT_CENTS_MAX)]
# The length is said apart: `$` would let a newline through at the end.
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]

AggregateType = Literal["revenue", "expense"]
PaymentMode = Literal["cash", "bank"]
Status = Literal["pending", "approved", "rejected", "deleted"]
EventType = Literal[
    "revenue.created",
    "revenue.updated",
    "revenue.approved",
    "revenue.rejected",
    "revenue.deleted",
    "expense.created",
    "expense.updated",
    "expense.approved",
    "expense.rejected",
    "expense.deleted",
]


class RecordedBy(Struct, frozen=True, gc=False):
    """Who recorded the event at the property."""

    user_id: Identifier
    name: Annotated[str, Meta(max_length=200)] | None = None


class TransactionData(Struct, frozen=True, gc=False):
    """The whole new state of the transaction (state transfer, not a delta)."""

    amount_cents: AmountCents
    payment_mode: PaymentMode
    status: Status
    currency: Currency | None = None
    category: Annotated[str, Meta(max_length=200)] | None = None
    description: Annotated[str, Meta(max_length=4000)] | None = None
    bank_reference: Annotated[str, Meta(max_length=200)] | None = None
    source: Annotated[str, Meta(max_length=100)] | None = None


# gc=False: no field can form a cycle, and the collector would otherwise walk every event in flight.
class FinanceEvent(Struct, frozen=True, gc=False):
    """One version of one transaction. Identity: (org_id, aggregate type, aggregate_id, version)."""

    event_id: UUID
    type: EventType
    org_id: Identifier
    property_id: Identifier
    aggregate_id: Identifier
    version: Version
    occurred_at: Annotated[datetime, Meta(tz=True)]
    recorded_by: RecordedBy
    data: TransactionData

    @property
    def aggregate_type(self) -> AggregateType:
        return AGGREGATE_TYPES[self.type]


AGGREGATE_TYPES: Final[dict[EventType, AggregateType]] = {
    event_type: "revenue" if event_type.startswith("revenue") else "expense" for event_type in get_args(EventType)
}


# Which states each kind of event may announce. A deleted transaction is revived by any later version of another kind.
_STATUSES_BY_VERB: Final[dict[str, tuple[str, ...]]] = {
    "created": ("pending", "approved"),
    "updated": ("pending", "approved", "rejected"),
    "approved": ("approved",),
    "rejected": ("rejected",),
    "deleted": ("deleted",),
}
AGREEING: Final[frozenset[tuple[str, str]]] = frozenset(
    (f"{aggregate_type}.{verb}", status)
    for aggregate_type in get_args(AggregateType)
    for verb, statuses in _STATUSES_BY_VERB.items()
    for status in statuses
)
