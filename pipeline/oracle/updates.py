"""Realtime updates as subscribers read them: JSON in, Update out."""

import json
import re
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from pipeline.oracle.daily import Figures
from pipeline.oracle.movements import DayKey

# https://www.w3.org/TR/trace-context/#traceparent-header; zeros are no ids
_TRACEPARENT: Final = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]")


class UpdateError(Exception):
    """What was published is no update."""


class Update(NamedTuple):
    """A realtime update."""

    epoch: str
    key: DayKey
    version: int
    figures: Figures
    changed_at: datetime
    appended_at: datetime | None  # None while it waits in the outbox
    rebuilt: bool = False  # a rebuild comes back above what nobody knows any more, and skips it


def parse_update(value: bytes | None, appended_at: datetime | None) -> Update:
    """The update in a record of `realtime-updates`, or in a line of the outbox.

    Raises UpdateError.
    """
    try:
        said: dict[str, Any] = json.loads(value or b"")
        _check_trace(said)
        key = (said["org_id"], said["property_id"], date.fromisoformat(said["balance_date"]))
        figures = Figures._make(map(said.__getitem__, Figures._fields))
        rebuilt = said.get("cause") == "rebuild"
        return Update(said["epoch"], key, said["version"], figures, _instant(said["changed_at"]), appended_at, rebuilt)
    except (ValueError, KeyError, TypeError) as error:
        raise UpdateError(f"{error!r} in {value!r:.200}") from error


def _check_trace(said: dict[str, Any]) -> None:
    """An update names the trace of its cause, or none: it never says null, nor what tracing tools would refuse."""
    if "traceparent" in said and not _TRACEPARENT.fullmatch(said["traceparent"]):
        raise ValueError(f"{said['traceparent']} is no traceparent")


def _instant(written: str) -> datetime:
    instant = datetime.fromisoformat(written)
    if instant.tzinfo is None:
        raise ValueError(f"{written} has no offset")
    return instant
