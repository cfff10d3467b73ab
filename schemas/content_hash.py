"""The content hash: two deliveries of one version are duplicates when it agrees, a conflict when not.

Version 1: BLAKE2b-128 over the MessagePack array of the frozen list below. MessagePack as msgspec writes it is
canonical for these types (shortest integers, no floats, no maps), instants are microseconds since 1970 in UTC, absent
is nil. Tracing fields (event_id, the recorder's display name), headers and the encoding of the record do not count.
A change of the list makes version 2 beside it; stored hashes keep the version that they were made with.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from schemas.corrections import BalanceCorrection
from schemas.events import FinanceEvent
from schemas.instants import UNIX_OFFSET, Instant, instant_of

HASH_VERSION: Final = 1
CORRECTION_HASH_VERSION: Final = 1
HASH_BYTES: Final = 16

_encode = msgspec.msgpack.Encoder().encode


def content_hash_v1(event: FinanceEvent) -> bytes:
    """The 16 bytes that stand for what the event says."""
    return content_hash_at(event, instant_of(event.occurred_at))


def content_hash_at(event: FinanceEvent, occurred_at: Instant) -> bytes:
    """The hash of the newest version, for who has the event's instant at hand."""
    data = event.data
    fields = (
        event.type,
        event.org_id,
        event.property_id,
        event.aggregate_id,
        event.version,
        occurred_at + UNIX_OFFSET,
        event.recorded_by.user_id,
        data.amount_cents,
        data.payment_mode,
        data.status,
        data.currency,
        data.category,
        data.description,
        data.bank_reference,
        data.source,
    )
    return blake2b(_encode(fields), digest_size=HASH_BYTES).digest()


def correction_hash(correction: BalanceCorrection) -> bytes:
    """The 16 bytes that stand for what a correction says; its own version 1, in the same encoding."""
    figures, declared = correction.figures, correction.declared_closing_cents
    fields = (
        correction.kind,
        correction.org_id,
        correction.property_id,
        correction.balance_date.isoformat(),
        msgspec.structs.astuple(figures) if figures is not None else None,
        declared if declared is not msgspec.UNSET else None,
        correction.reason,
        correction.recorded_by.user_id,
        instant_of(correction.issued_at) + UNIX_OFFSET,
    )
    return blake2b(_encode(fields), digest_size=HASH_BYTES).digest()


_BY_VERSION: Final = {1: content_hash_v1}


def content_hash(event: FinanceEvent, version: int = HASH_VERSION) -> bytes:
    """The event's content hash under `version`; old versions stay computable.

    Raises KeyError for a version that no release of this code has made.
    """
    return _BY_VERSION[version](event)
