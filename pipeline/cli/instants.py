"""Instants on the command line."""

from datetime import datetime

from pipeline.errors import SettingsRefused


def instant(option: str, text: str, *, also: str = "") -> datetime:
    """An instant with its offset. `also` names what else the option takes. Raises SettingsRefused."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        accepted = "an instant such as 2026-11-01T00:00:00+00:00"
        raise SettingsRefused(f"{option} {text!r}: {accepted}{f', or {also}' if also else ''}") from error
    if found.tzinfo is None:
        raise SettingsRefused(f"{option} {text!r}: without an offset it is no instant; append +00:00 for UTC")
    return found
