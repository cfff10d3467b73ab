"""The content hash, made a second time from its definition.

Version 1: BLAKE2b of 128 bits over one MessagePack array of the fields below, in this order. The instant counts in
microseconds since 1970-01-01T00:00Z, what is absent is nil, and numbers and texts are in their shortest form
(https://github.com/msgpack/msgpack/blob/master/spec.md). The event's id, the name of who recorded it, headers and
unknown fields do not count. `tests/oracle/test_content_hash.py` holds it together with the pipeline's.

A correction has a list, and versions, of its own, in the same encoding; its day is a text, its figures are an array
(`tests/oracle/test_agrees_on_corrections.py`).
"""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import msgspec

from pipeline.oracle.decode import Event
from pipeline.oracle.decode_corrections import Correction

HASH_VERSION: Final = 1
CORRECTION_HASH_VERSION: Final = 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_packed: Final = msgspec.msgpack.Encoder().encode


def content_hash(event: Event) -> bytes:
    """The 16 bytes under which a version of a transaction is known."""
    content = event.content
    fields = (
        *(content.type, event.org_id, content.property_id, event.aggregate_id, event.version),
        *(_microseconds(content.occurred_at), content.user_id),
        *(content.amount_cents, content.payment_mode, content.status, content.currency),
        *(content.category, content.description, content.bank_reference, content.source),
    )
    return blake2b(_packed(fields), digest_size=16).digest()


def correction_hash(correction: Correction) -> bytes:
    """The 16 bytes under which a correction is known."""
    content = correction.content
    fields = (
        *(content.kind, correction.org_id, content.property_id, content.balance_date.isoformat()),
        *(content.figures, content.declared_closing_cents, content.reason, content.user_id),
        _microseconds(content.issued_at),
    )
    return blake2b(_packed(fields), digest_size=16).digest()


def _microseconds(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
