"""Realtime updates: every figure of a day, each time a committed batch changed it."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

Cause = Literal["event", "carry_forward"]


class BalanceUpdate(Struct, frozen=True, gc=False):
    """One day of one property as it stands since `changed_at`. Money in cents.

    `version` rises by exactly one with each update of a day, within one `epoch`: subscribers drop what is not newer
    and refetch on a gap. `event_id` is the newest event that caused the change.
    """

    org_id: int
    property_id: int
    balance_date: date
    epoch: str
    version: int
    opening_balance_cents: int
    cash_received_cents: int
    bank_received_cents: int
    cash_expenses_cents: int
    bank_expenses_cents: int
    calculated_closing_balance_cents: int
    declared_closing_cents: int | None
    closing_balance_cents: int
    balance_discrepancy_cents: int
    changed_at: datetime
    cause: Cause
    event_id: UUID | None


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(BalanceUpdate)

encode_update = _encoder.encode
decode_update = _decoder.decode


def encode_updates(updates: Sequence[BalanceUpdate]) -> bytes:
    """One update per line: what the outbox stores."""
    return _encoder.encode_lines(updates)


def decode_updates(lines: bytes) -> list[BalanceUpdate]:
    """The updates of an outbox row, in order."""
    return _decoder.decode_lines(lines)
