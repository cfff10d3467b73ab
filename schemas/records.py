"""A record of a topic after it was judged: accepted with its event, or rejected with its reason."""

from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from schemas.events import FinanceEvent
from schemas.reasons import Reason

Headers = tuple[tuple[str, bytes], ...]


class Origin(NamedTuple):
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
    content_hash: bytes


class Rejected(Struct, frozen=True, gc=False):
    """A record that goes to the dead letters; its neighbours go on."""

    origin: Origin
    reason: Reason
    detail: str


Judged = Accepted | Rejected
