"""What the decisions need to know, read from the database by the keys of the batch."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import asyncpg

import sql
from batchers.carry import Balance
from batchers.coalesce import Figures
from batchers.correct import Booked, DayKey
from batchers.decide import Fingerprint, Snapshot
from batchers.fence import LockedLane
from batchers.properties import Property, property_of
from pipeline.errors import BatchTooSlow
from schemas.instants import moment_of
from schemas.records import AggregateKey, CorrectionKey, PropertyKey


async def read_snapshots(
    connection: asyncpg.Connection, keys: Collection[AggregateKey]
) -> dict[AggregateKey, Snapshot]:
    """The snapshots of the transactions that have one."""
    rows = await connection.fetch(sql.query("read_snapshots"), *columns(keys, 3))
    return {
        (row[0], row[1], row[2]): Snapshot(
            version=row[3],
            fingerprint=Fingerprint(row[4], row[5]),
            property_id=row[6],
            occurred_at=row[7],
            balance_date=row[8],
            payment_mode=row[9],
            status=row[10],
            amount_cents=row[11],
            created_at=row[12],
            created_by_user_id=row[13],
            approved_at=row[14],
            approved_by_user_id=row[15],
        )
        for row in rows
    }


async def probe_versions(
    connection: asyncpg.Connection, probes: Collection[tuple[AggregateKey, int]]
) -> dict[tuple[AggregateKey, int], Fingerprint]:
    """The contents of those versions that the store holds."""
    if not probes:
        return {}
    flat = [(*key, version) for key, version in probes]
    rows = await connection.fetch(sql.query("probe_versions"), *columns(flat, 4))
    return {((row[0], row[1], row[2]), row[3]): Fingerprint(row[4], row[5]) for row in rows}


async def read_properties(connection: asyncpg.Connection, keys: Collection[PropertyKey]) -> dict[PropertyKey, Property]:
    """The properties that are registered, each with its whole calendar."""
    if not keys:
        return {}
    rows = await connection.fetch(sql.query("read_properties"), *columns(keys, 2))
    calendars = defaultdict(list)
    for row in rows:
        calendars[row[0], row[1]].append(row)
    return {
        key: property_of(zones[0][2], zones[0][3], tuple((moment_of(row[4]), ZoneInfo(row[5])) for row in zones))
        for key, zones in calendars.items()
    }


async def read_balances(
    connection: asyncpg.Connection, first_days: Mapping[PropertyKey, date], rows_max: int | None
) -> dict[PropertyKey, list[Balance]]:
    """Of each property the row before its first changed day, and every row from that day on, ascending.

    Raises BatchTooSlow when that is more than `rows_max` rows: half of the batch may reach fewer.
    """
    wanted = [(*key, day) for key, day in first_days.items()]
    limit = None if rows_max is None else rows_max + 1
    rows = await connection.fetch(sql.query("read_balances"), *columns(wanted, 3), limit)
    if rows_max is not None and len(rows) > rows_max:
        raise BatchTooSlow(f"the batch reaches more than {rows_max:,} days of {len(first_days):,} properties")
    balances: dict[PropertyKey, list[Balance]] = defaultdict(list)
    for row in rows:
        balances[row[0], row[1]].append(
            Balance(
                org_id=row[0],
                property_id=row[1],
                balance_date=row[2],
                version=row[3],
                opening_cents=row[4],
                figures=Figures(row[5], row[6], row[7], row[8]),
                declared_closing_cents=row[9],
                last_event_id=row[10],
            )
        )
    return balances


async def read_corrections(
    connection: asyncpg.Connection, keys: Collection[CorrectionKey]
) -> dict[CorrectionKey, Fingerprint]:
    """What those of the corrections said that were applied before."""
    if not keys:
        return {}
    rows = await connection.fetch(sql.query("read_corrections"), *columns(keys, 2))
    return {(row[0], row[1]): Fingerprint(row[2], row[3]) for row in rows}


async def read_booked_figures(connection: asyncpg.Connection, days: Collection[DayKey]) -> dict[DayKey, Booked]:
    """What transactions, adjustments and corrections say of these days."""
    if not days:
        return {}
    rows = await connection.fetch(sql.query("booked_figures"), *columns(days, 3))
    return {(row[0], row[1], row[2]): Booked(Figures(*map(int, row[3:7])), row[7]) for row in rows}


async def read_paused_orgs(
    connection: asyncpg.Connection, orgs: Collection[int | None], locked: Mapping[int, LockedLane]
) -> frozenset[int]:
    """Those of `orgs` that are paused. Their home lanes are locked, so none is paused or resumed meanwhile."""
    if not any(lane.paused_orgs for lane in locked.values()):
        return frozenset()
    rows = await connection.fetch(sql.query("paused_orgs"), [org_id for org_id in orgs if org_id is not None])
    return frozenset(row["org_id"] for row in rows)


def columns(rows: Iterable[Sequence[object]], width: int) -> list[list[object]]:
    """Rows as one array per column: the form that `unnest` takes."""
    found = [list(column) for column in zip(*rows, strict=True)]
    return found or [[] for _ in range(width)]
