"""What became of records that were sent: how far the lanes are, and then what was decided, on the primary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import asyncpg

import sql
from pipeline.storage.intent import ReadYourWrites, Write
from pipeline.storage.partitions import BALANCES, SNAPSHOTS
from pipeline.storage.reading import Reads
from pipeline.storage.values import Balance
from schemas.reasons import Reason

_LAST_MONTHS: Final = ("event_store.events: the month of the last day, or two",)
Outcome = Literal["applied", "stale", "duplicate", "conflict", "quarantined", "unknown"]
_TABLES: Final = (*_LAST_MONTHS, *SNAPSHOTS, *BALANCES)


@dataclass(frozen=True, slots=True)
class Sent:
    """A finance event, and where it stands in its topic."""

    lane: int
    offset: int
    kind: str
    id: int
    version: int


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a record.

    `outcome`: applied, stale, duplicate, conflict or quarantined, as the stream decides them; unknown where its lane is
    past it and nothing of it is there: somebody has moved the lane. `latest` is the newest row on or before the day
    that it is booked on; None where there is no such day.
    """

    outcome: Outcome
    reason: str | None  # of a dead letter
    detail: str | None
    booked_on: date | None
    latest: Balance | None


class Outcomes:
    """Asked with the intent of a write: a replica may not have heard yet."""

    def __init__(self, reads: Reads, topic: str) -> None:
        self._reads = reads
        self._topic = topic

    async def positions(self, org_id: int) -> Mapping[int, int]:
        """By lane the offset before which everything was decided; a lane that has not begun is not there.

        The organisation is that of whoever asks, for a read has one; the answer is nobody's.

        Raises DatabaseUnavailable.
        """

        async def work(connection: asyncpg.Connection) -> dict[int, int]:
            rows = await connection.fetch(sql.query("finance_positions"))
            return {row["lane"]: row["finance_position"] for row in rows}

        return await self._reads.together(org_id, Write(), work)

    async def of_records(self, org_id: int, sent: Sequence[Sent]) -> tuple[Sequence[Decided], ReadYourWrites]:
        """In the order of what was sent, and what to read by to see it. Raises DatabaseUnavailable."""
        columns = (
            [each.lane for each in sent],
            [each.offset for each in sent],
            [each.kind for each in sent],
            [each.id for each in sent],
            [each.version for each in sent],
        )

        async def work(connection: asyncpg.Connection) -> tuple[Sequence[Decided], ReadYourWrites]:
            rows = await self._reads.fetch(
                connection, sql.query("outcomes_of_records"), _TABLES, org_id, self._topic, *columns
            )
            decided = [_decided(row, each.version) for row, each in zip(rows, sent, strict=True)]
            # After what was seen, so that no part of it lies behind the mark.
            mark = await connection.fetchrow(sql.query("read_mark"))
            assert mark is not None, "every server stands somewhere"
            return decided, ReadYourWrites(mark["lsn"], mark["epoch"])

        return await self._reads.together(org_id, Write(), work)


def _decided(row: asyncpg.Record, version: int) -> Decided:
    outcome, reason, detail, newest_version, booked_on, *figures = row
    latest = Balance(*figures) if figures[0] is not None else None
    if reason == Reason.VERSION_CONFLICT:
        return Decided("conflict", reason, detail, booked_on, latest)
    if reason is not None:
        return Decided("quarantined", reason, detail, None, None)
    if outcome is None:
        # Neither stored nor set aside: no news, for which its transaction must have come as far.
        outcome = "duplicate" if newest_version is not None and newest_version >= version else "unknown"
    return Decided(outcome, None, None, booked_on, latest)
