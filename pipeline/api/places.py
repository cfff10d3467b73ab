"""Where a page goes on: an opaque text in a query, a key inside."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from pipeline.errors import ReadRefused

T = TypeVar("T")


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
