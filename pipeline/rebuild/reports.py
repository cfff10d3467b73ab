"""The read models, by sets: of a slice, or of what has changed since they were refreshed last."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import asyncpg

import sql
from pipeline.rebuild.scope import ORG_MAX, Slice, Tally
from schemas.instants import UNIX_OFFSET, Instant

Watermarks = dict[int, Instant]

# Days of a thousand organisations and more: a second or two of one transaction, which locks nobody out.
ORGS_A_REFRESH: Final = 1_000
_NOTHING_RECORDED: Final = -UNIX_OFFSET  # 1970: of a lane that nothing came by yet


async def watermarks(connection: asyncpg.Connection) -> Watermarks:
    """By lane the instant up to which everything is in the tables: what comes later is recorded later."""
    return {row[0]: row[1] for row in await connection.fetch(sql.query("rebuild_watermarks"))}


async def refreshed_until(connection: asyncpg.Connection) -> Watermarks:
    """What the projections know; nothing before they were first made."""
    return {row[0]: row[1] for row in await connection.fetch(sql.query("read_refreshes"))}


async def rebuild_reports(connection: asyncpg.Connection, slice_: Slice) -> Tally:
    """Make the projections of a slice anew; rows that are right already stay."""
    since = [date.min] * len(slice_.orgs) if slice_.orgs is not None else None
    return await _refresh(connection, slice_, since)


async def touched_since(connection: asyncpg.Connection, known: Mapping[int, Instant]) -> dict[int, date]:
    """Organisations of which something was recorded after `known`, each with the earliest day that it concerns."""
    lanes = await watermarks(connection)
    until = {lane: known.get(lane, _NOTHING_RECORDED) for lane in lanes}
    # A lane that nothing ever came by would make all months be read. Its first events are not older than others' last.
    least = min((at for at in until.values() if at > _NOTHING_RECORDED), default=_NOTHING_RECORDED)
    rows = await connection.fetch(sql.query("touched_orgs"), list(until), list(until.values()), least)
    return {row[0]: row[1] for row in rows}


async def refresh_reports(connection: asyncpg.Connection, touched: Mapping[int, date]) -> Tally:
    """Bring the projections of these organisations up to date, each from its day on."""
    tally = Tally()
    orgs = sorted(touched)
    for start in range(0, len(orgs), ORGS_A_REFRESH):
        some = orgs[start : start + ORGS_A_REFRESH]
        done = await _refresh(connection, Slice(0, ORG_MAX, some), [touched[org_id] for org_id in some])
        tally.add(done.looked_at, done.changed)
    return tally


async def note_refresh(connection: asyncpg.Connection, until: Mapping[int, Instant]) -> None:
    """Remember what the projections know now."""
    await connection.execute(sql.query("note_refresh"), list(until), list(until.values()))


async def _refresh(connection: asyncpg.Connection, slice_: Slice, since: Sequence[date] | None) -> Tally:
    tally = Tally()
    async with connection.transaction(isolation="repeatable_read"):
        daily = await connection.fetchrow(sql.query("refresh_daily_reports"), *slice_.arguments, since)
        monthly = await connection.fetchrow(sql.query("refresh_monthly_summaries"), *slice_.arguments, since)
    assert daily is not None, "an aggregate has one row"
    assert monthly is not None, "an aggregate has one row"
    tally.looked_at += daily["looked_at"] + monthly["looked_at"]
    tally.count("daily reports", daily["changed"])
    tally.count("monthly summaries", monthly["changed"])
    return tally
