"""What a check remembers of a drift: once, from when to when, and how it was made right."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

import sql
from batchers.reading import columns
from pipeline.consistency.drifts import Drift
from pipeline.consistency.looking import Found
from schemas.instants import Instant


@dataclass(frozen=True, slots=True)
class OpenDrift:
    """A drift that is recorded and not made right."""

    org_id: int
    kind: str
    subject: str
    differs: Sequence[str]


async def record(
    connection: asyncpg.Connection, found: Found, job_id: UUID, at: Instant, *, mended_by: str
) -> Mapping[str, int]:
    """Remember what was found, in the caller's transaction; what stood open there and is gone was made right.

    Returns how many drifts of each kind were found. A look that did not see all settles nothing.
    """
    rows = [_row(drift) for drift in found.drifts]
    if rows:
        await connection.execute(sql.query("record_drifts"), *columns(rows, 7), at, job_id)
    if found.whole:
        await connection.execute(sql.query("settle_drifts"), found.orgs, at, mended_by)
    return Counter(drift.kind for drift in found.drifts)


async def open_drifts(
    connection: asyncpg.Connection, after: int, limit: int, orgs: Collection[int] | None = None
) -> list[OpenDrift]:
    """The next drifts that stand open, of organisations above `after`."""
    among = sorted(orgs) if orgs is not None else None
    rows = await connection.fetch(sql.query("open_drifts"), after, among, limit)
    return [OpenDrift(*tuple(row)[:4]) for row in rows]


async def count_open(connection: asyncpg.Connection) -> dict[str, int]:
    """How many drifts of each kind stand open."""
    return {row["kind"]: row["open"] for row in await connection.fetch(sql.query("count_drifts"))}


def _row(drift: Drift) -> tuple[object, ...]:
    before, after = _encoded(drift.before), _encoded(drift.after)
    return uuid7(), drift.kind, drift.org_id, drift.subject, " ".join(drift.differs), before, after


def _encoded(document: Mapping[str, object] | None) -> str | None:
    return msgspec.json.encode(document).decode() if document is not None else None
