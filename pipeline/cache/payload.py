"""What the cache holds of a day, and its bytes: `SCHEMA:` and MessagePack."""

from typing import Final

import msgspec
from msgspec import Struct

from pipeline.storage.values import Balance

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
