"""Purging at a CDN: the days that a batch changed are handed to who purges what is kept about them."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Protocol

from batchers.outbox import OutboxRow
from schemas.records import PropertyKey

ChangedDays = Mapping[PropertyKey, Collection[date]]


class Purging(Protocol):
    """The CDN, as far as the purger needs it (pipeline.cdn hands it in)."""

    def changed(self, days: ChangedDays) -> None:
        """What is kept about these days is to be purged. Waits for nothing and raises nothing."""
        ...


class Purger:
    """An effect that cannot fail: what becomes of a purge is the CDN's and its queue's (docs/decisions/0022)."""

    def __init__(self, purging: Purging) -> None:
        self._purging = purging

    async def purge(self, rows: Sequence[OutboxRow]) -> None:
        """Hand over the days that these rows changed. The caches behind the CDN have been told of them by now."""
        if days := changed_days(rows):
            self._purging.changed(days)


def changed_days(rows: Sequence[OutboxRow]) -> dict[PropertyKey, set[date]]:
    """By property, the days that these rows changed, whatever the epoch."""
    days: dict[PropertyKey, set[date]] = defaultdict(set)
    for row in rows:
        for update, _line in row.updates:
            days[update.org_id, update.property_id].add(update.balance_date)
    return days
