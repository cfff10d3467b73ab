"""The night audit: of each property the day that has ended there, where its cash does not agree or nobody counted it.

It reports, and never locks or changes anything of the books: what a discrepancy means, somebody at the hotel must say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

import sql
from pipeline.consistency.job import Means
from pipeline.consistency.scope import Scope, slices_for

KIND: Final = "night_audit"
# Findings that the report repeats, the largest first; all of them are in ops.night_audit_days.
WORST_MAX: Final = 50
_ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """A day that somebody must look at."""

    org_id: int
    property_id: int
    balance_date: date
    finding: str  # discrepancy: the count does not agree by so many cents; missing_count: so many moved, and no count
    cents: int


@dataclass(frozen=True, slots=True)
class NightAudit:
    """What one night has found."""

    report_id: UUID
    dates: Mapping[str, date]  # by time zone the day that was looked at
    properties: int
    not_ended: int  # properties where the wanted day is not over yet
    days: Mapping[str, int]  # by finding
    cents: Mapping[str, int]  # by finding, the sum of what is amiss, without its sign
    worst: Sequence[Finding]


def ended_days(zones: Sequence[str], now: datetime, wanted: date | None) -> dict[str, date]:
    """By time zone the day that has ended there last, or the wanted one where it has ended."""
    last = {zone: now.astimezone(ZoneInfo(zone)).date() - _ONE_DAY for zone in zones}
    if wanted is None:
        return last
    return {zone: wanted for zone, day in last.items() if wanted <= day}


async def audit_night(means: Means, wanted: date | None) -> NightAudit:
    """Look at every property's day, and leave a report with its findings."""
    connection, now = means.operator, means.clock.now()
    zones = {row[0]: row[1] for row in await means.operator.fetch(sql.query("zones_in_force"))}
    dates = ended_days(sorted(zones), now, wanted)
    report_id = uuid7()
    transactions = await connection.fetchval(sql.query("estimate_transactions"))
    slices = slices_for(transactions, means.settings.slice_transactions_max)
    for number in range(slices):
        of_slice = Scope(slices, number).of_slice
        await connection.execute(sql.query("find_nightly"), *of_slice, report_id, list(dates), list(dates.values()))
    totals = await connection.fetch(sql.query("sum_nightly"), report_id)
    audit = NightAudit(
        report_id=report_id,
        dates=dates,
        properties=sum(zones.values()),
        not_ended=sum(count for zone, count in zones.items() if zone not in dates),
        days={row["finding"]: row["days"] for row in totals},
        cents={row["finding"]: row["cents"] for row in totals},
        worst=await findings(connection, report_id, WORST_MAX),
    )
    await connection.execute(sql.query("append_report"), report_id, KIND, msgspec.json.encode(audit).decode())
    return audit


async def findings(connection: asyncpg.Connection, report_id: UUID, limit: int) -> list[Finding]:
    """The findings of a report, those about the most money first."""
    rows: list[Any] = await connection.fetch(sql.query("worst_nightly"), report_id, limit)
    return [Finding(*row) for row in rows]
