"""Secrets, kept off screens, logs and error messages."""

import re
from typing import Final

MASK: Final = "***"
# To the last @: a password that was not percent-encoded may hold one itself. Too much hidden is better than too little.
_IN_AUTHORITY: Final = re.compile(r"(://[^:\s]*:).*@")
_IN_QUERY: Final = re.compile(r"([?&][^=&]*(?:password|secret|token)=)[^&'\"\s]*", re.IGNORECASE)


class Secret:
    """Marks a setting whose whole value is never shown: `Annotated[str | None, Secret()]`."""


def masked(text: str) -> str:
    """The text with the passwords of URLs in it replaced by ***."""
    return _IN_QUERY.sub(rf"\1{MASK}", _IN_AUTHORITY.sub(rf"\1{MASK}@", text))
