"""Pausing by hand: a lane, whose records wait in the topic; or an organisation, whose records are set aside.

Both stay until somebody resumes them, whatever workers come and go; each leaves a row in the operators' audit.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
from uuid_utils.compat import uuid7

import sql
from pipeline.errors import SettingsRefused, TopicMismatch
from pipeline.storage.audit import audit
from pipeline.translate import database_errors
from schemas.routing import home_lane


@dataclass(frozen=True, slots=True)
class OrgPause:
    """An organisation that is paused."""

    org_id: int
    paused_at: datetime
    paused_by: str
    reason: str


async def pause_lane(connection: asyncpg.Connection, lane: int, who: str, reason: str) -> None:
    """Raises SettingsRefused where there is no such lane, or it is paused already."""
    with database_errors("pausing a lane"):
        async with connection.transaction():
            done = await connection.execute(sql.query("pause_lane"), lane, who, reason, None)
            await _require(done == "UPDATE 1", connection, lane, "it is paused already")
            await audit(connection, who, "pause lane", {"lane": lane, "reason": reason})


async def resume_lane(connection: asyncpg.Connection, lane: int, who: str) -> None:
    """Raises SettingsRefused where there is no such lane, or it is not paused."""
    with database_errors("resuming a lane"):
        async with connection.transaction():
            done = await connection.execute(sql.query("resume_lane"), lane)
            await _require(done == "UPDATE 1", connection, lane, "it is not paused")
            await audit(connection, who, "resume lane", {"lane": lane})


async def _require(done: bool, connection: asyncpg.Connection, lane: int, otherwise: str) -> None:
    if not done:
        lanes = await connection.fetchval(sql.query("count_lanes"))
        why = otherwise if lane < lanes else f"workers have claimed lanes 0 to {lanes - 1}" if lanes else _UNCLAIMED
        raise SettingsRefused(f"lane {lane}: {why}")


_UNCLAIMED = "no worker has claimed any lane yet"


async def pause_org(connection: asyncpg.Connection, org_id: int, who: str, reason: str) -> None:
    """Raises SettingsRefused where it is paused already, TopicMismatch where no lane was ever claimed."""
    with database_errors("pausing an organisation"):
        async with connection.transaction():
            home = await _locked_home(connection, org_id)
            done = await connection.execute(sql.query("pause_org"), uuid7(), org_id, who, reason)
            if done == "INSERT 0 0":
                raise SettingsRefused(f"organisation {org_id} is paused already: `folio status` tells since when")
            await connection.execute(sql.query("count_paused_org"), home, 1)
            await audit(connection, who, "pause org", {"org_id": org_id, "reason": reason})


async def resume_org(connection: asyncpg.Connection, org_id: int, who: str) -> None:
    """Raises SettingsRefused where it is not paused."""
    with database_errors("resuming an organisation"):
        async with connection.transaction():
            home = await _locked_home(connection, org_id)
            done = await connection.execute(sql.query("resume_org"), org_id, who)
            if done == "UPDATE 0":
                raise SettingsRefused(f"organisation {org_id} is not paused")
            await connection.execute(sql.query("count_paused_org"), home, -1)
            await audit(connection, who, "resume org", {"org_id": org_id})


async def open_pauses(connection: asyncpg.Connection) -> list[OrgPause]:
    """The organisations that are paused now."""
    with database_errors("reading the pauses"):
        rows = await connection.fetch(sql.query("open_pauses"))
    return [OrgPause(*row) for row in rows]


async def _locked_home(connection: asyncpg.Connection, org_id: int) -> int:
    """The organisation's home lane, with every lane locked: an organisation may have records on any of them."""
    lanes = await connection.fetch(sql.query("lock_every_lane"))
    if not lanes:
        raise TopicMismatch(f"organisation {org_id}: {_UNCLAIMED}, there is nothing to pause")
    return home_lane(org_id, len(lanes))
