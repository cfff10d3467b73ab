"""Where a page goes on: an opaque text in a query, a key inside.

Anybody can write one, so a key has the bounds of the column that it is compared with; which rows are seen is decided
by the organisation alone, never by a key.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from pipeline.errors import ReadRefused
from pipeline.storage.values import TransactionKey

T = TypeVar("T")
# What is decoded for the kinds of keys: `date` as it is.
AFTER_ID: Final[Any] = Annotated[int, Meta(ge=1, le=2**63 - 1)]
AFTER_VERSION: Final[Any] = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Occurred = Annotated[datetime, Meta(tz=True)]


class _TransactionPlace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As a `TransactionKey` is written."""

    occurred_at: _Occurred
    id: Annotated[int, Meta(ge=1, le=2**63 - 1)]


def placed(key: object | None) -> str | None:
    """The text of a page's `next`; None at the end."""
    if key is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def place_of(text: str | None, kind: type[T]) -> T | None:
    """The key of such a text. Raises ReadRefused unless it is one of that kind."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise ReadRefused("`after` is what the page before gave as `next`, unchanged") from error


def transaction_place_of(text: str | None) -> TransactionKey | None:
    """The same of a page of transactions."""
    place = place_of(text, _TransactionPlace)
    return TransactionKey(in_utc(place.occurred_at, "after"), place.id) if place is not None else None


def in_utc(instant: datetime, name: str) -> datetime:
    """Raises ReadRefused for one that is beyond the calendar there: the first day, in a zone that is ahead."""
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ReadRefused(f"`{name}` is beyond the years 1 to 9999") from error
