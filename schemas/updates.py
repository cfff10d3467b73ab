"""Realtime updates: every figure of a day, each time a committed batch changed it."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

Cause = Literal["event", "correction", "carry_forward", "rebuild"]


class BalanceUpdate(Struct, frozen=True, gc=False):
    """One day of one property as it stands since `changed_at`. Money in cents.

    `version` rises by exactly one with each update of a day, within one `epoch`: subscribers drop what is not newer
    and refetch on a gap. Only a `rebuild` skips versions: what it has made right comes back above every version that
    the day can have had. `event_id` is the newest event, or correction, that caused the change, and `traceparent` the
    trace that this one named (W3C), absent where it named none.
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
    traceparent: str | UnsetType = UNSET


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(BalanceUpdate).decode


class EncodedUpdate(NamedTuple):
    """An update and its bytes: encoded once, for the outbox and for the topic."""

    update: BalanceUpdate
    line: bytes


def encode_update(update: BalanceUpdate) -> EncodedUpdate:
    return EncodedUpdate(update, _encode(update))


def join_updates(updates: Iterable[EncodedUpdate]) -> bytes:
    """One JSON document a line: what the outbox stores."""
    return b"\n".join(encoded.line for encoded in updates)


def split_updates(lines: bytes) -> list[EncodedUpdate]:
    """The updates of an outbox row, in order."""
    return [EncodedUpdate(_decode(line), line) for line in lines.splitlines()]
