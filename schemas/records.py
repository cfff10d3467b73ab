"""A record of a topic after it was judged: accepted with its event, or rejected with its reason."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from schemas.corrections import BalanceCorrection
from schemas.events import FinanceEvent
from schemas.instants import Instant
from schemas.reasons import Reason

# A name that is not UTF-8 has lone surrogates in place of the odd bytes (surrogateescape). A value may be null.
Headers = tuple[tuple[str, bytes | None], ...]
AggregateKey = tuple[int, str, int]  # org_id, aggregate type, aggregate id
PropertyKey = tuple[int, int]  # org_id, property_id
CorrectionKey = tuple[int, UUID]  # org_id, correction_id


# Structs rather than dataclasses for what is made once per record: a frozen dataclass costs five times as much, and
# gc=False spares the collector a walk over every record in flight.
class Origin(Struct, frozen=True, gc=False):
    """Where a record stands, and what it was when it came."""

    topic: str
    lane: int
    offset: int
    appended_at: datetime  # the broker's append time, UTC
    key: bytes | None
    value: bytes | None
    headers: Headers


class Accepted(Struct, frozen=True, gc=False):
    """A record whose event keeps every rule that can be judged without the books."""

    origin: Origin
    event: FinanceEvent
    key: AggregateKey
    content_hash: bytes
    occurred_at: Instant
    appended_at: Instant


class Rejected(Struct, frozen=True, gc=False):
    """A record that goes to the dead letters; its neighbours go on."""

    origin: Origin
    reason: Reason
    detail: str


class AcceptedCorrection(Struct, frozen=True, gc=False):
    """A record whose correction keeps every rule that can be judged without the books."""

    origin: Origin
    correction: BalanceCorrection
    content_hash: bytes

    @property
    def key(self) -> CorrectionKey:
        return self.correction.org_id, self.correction.correction_id


Judged = Accepted | AcceptedCorrection | Rejected


def org_of(record: Judged) -> int | None:
    """The organisation that an accepted record names; None of a rejected one."""
    # Asked of every record: looking at the type takes half as long as matching.
    if type(record) is Accepted:
        return record.event.org_id
    if type(record) is AcceptedCorrection:
        return record.correction.org_id
    return None
