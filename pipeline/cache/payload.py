"""What the cache holds of a day, and its bytes: `SCHEMA:` and MessagePack."""

from typing import Final

import msgspec
from msgspec import Struct

from pipeline.storage.values import Balance
from schemas.updates import BalanceUpdate

# Raised with every change of `Balance` or `CachedDay`. While two releases run side by side, each takes what the other
# filled for a miss and replaces it: that costs reads, and nobody decodes what he does not know.
SCHEMA: Final = 1
_PREFIX: Final = b"%d:" % SCHEMA


class CachedDay(Struct, frozen=True, array_like=True):
    """A day as it was read from the primary. `balance` None: it had no row, which equals a day without movements."""

    expires_at: float  # seconds since 1970, by the clock of the process that read it
    balance: Balance | None

    @property
    def version(self) -> int:
        """0: no row. The first version of a row is 1."""
        return 0 if self.balance is None else self.balance.version


def balance_of(update: BalanceUpdate) -> Balance:
    """The row that the update tells of: it was made from the same values."""
    return Balance(
        update.property_id,
        update.balance_date,
        update.version,
        update.opening_balance_cents,
        update.cash_received_cents,
        update.bank_received_cents,
        update.cash_expenses_cents,
        update.bank_expenses_cents,
        update.calculated_closing_balance_cents,
        update.declared_closing_cents,
        update.closing_balance_cents,
        update.balance_discrepancy_cents,
        update.event_id,
        update.changed_at,
    )


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(CachedDay).decode


def encoded(day: CachedDay) -> bytes:
    return _PREFIX + _encode(day)


def decoded(payload: bytes) -> CachedDay | None:
    """None: it is of another schema, or damaged."""
    if not payload.startswith(_PREFIX):
        return None
    try:
        return _decode(payload[len(_PREFIX) :])
    except msgspec.DecodeError:
        return None
