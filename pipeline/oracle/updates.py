"""Realtime updates as subscribers read them: JSON in, Update out."""

import json
from datetime import date
from typing import Any

from pipeline.oracle.compare_days import Update
from pipeline.oracle.daily import Figures


class UpdateError(Exception):
    """What was published is no update."""


def parse_update(value: bytes | None) -> Update:
    """The update in a record of `realtime-updates`, or in a line of the outbox.

    Raises UpdateError.
    """
    try:
        said: dict[str, Any] = json.loads(value or b"")
        key = (said["org_id"], said["property_id"], date.fromisoformat(said["balance_date"]))
        figures = Figures._make(map(said.__getitem__, Figures._fields))
        return Update(said["epoch"], key, said["version"], figures)
    except (ValueError, KeyError, TypeError) as error:
        raise UpdateError(f"{error!r} in {value!r:.200}") from error
