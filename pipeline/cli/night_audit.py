"""`folio night-audit`: the days that have ended, where cash does not agree or was not counted."""

import asyncio
from datetime import date
from typing import Annotated

import msgspec
from cyclopts import Parameter

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.clock import SystemClock
from pipeline.consistency.night_audit import NightAudit, audit_night
from pipeline.consistency.opening import means_of
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.settings import Settings
from pipeline.translate import database_errors


def night_audit(*, date_: Annotated[str | None, Parameter(name="--date")] = None, output: Output = "text") -> int:
    """Report, of each property, the day that has ended there: open discrepancies, and cash that nobody counted.

    Nothing is locked or changed. Exit code 1: there is something to look at.

    Parameters
    ----------
    date_
        This balance date (2026-11-01), where it has ended, and not the last one that has.
    output
        text for people, json for programs.
    """
    audit = asyncio.run(_run(settings_module.load(), _date(date_)))
    if output == "json":
        print_document(msgspec.to_builtins(audit))
    else:
        _show(audit)
    return EXIT_DIFFERENT if audit.days else EXIT_OK


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError as error:
        raise SettingsRefused(f"--date {text!r}: a date such as 2026-11-01") from error


async def _run(settings: Settings, wanted: date | None) -> NightAudit:
    with database_errors("auditing the night"):
        async with means_of(settings, resolve(settings).database_url, SystemClock(), lambda _point: None) as means:
            return await audit_night(means, wanted)


def _show(audit: NightAudit) -> None:
    looked = audit.properties - audit.not_ended
    days = ", ".join(sorted({day.isoformat() for day in audit.dates.values()})) or "no day that has ended"
    print(f"night audit of {days}: {looked:,} properties")
    for finding, count in sorted(audit.days.items()):
        print(f"{count:,} days with a {finding.replace('_', ' ')}, {audit.cents[finding]:,} cents in all")
    for each in audit.worst:
        print(
            f"  organisation {each.org_id} property {each.property_id} {each.balance_date}: "
            f"{each.finding.replace('_', ' ')} {each.cents:,} cents"
        )
    if audit.not_ended:
        print(f"{audit.not_ended:,} properties are left out: the day has not ended there")
    print(f"report {audit.report_id}: every finding is in ops.night_audit_days")
