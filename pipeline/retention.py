"""For how many months the workers keep transactions: recorded with each claim, asked by whoever works beside them.

The setting is each process's own. A clean-up with a shorter one would take months away that workers still write, a
check would miss rows that are not kept, or pass over some that are: none of them may go on in silence.
"""

from collections.abc import Mapping

import asyncpg

import sql
from pipeline.errors import SettingsRefused

SETTING = "FOLIO_BATCH_RETENTION_MONTHS"


async def recorded_retention(connection: asyncpg.Connection) -> dict[int, int]:
    """By lane, the months that its newest owner keeps. Lanes without a claim since this is recorded are absent."""
    return {row["lane"]: row["retention_months"] for row in await connection.fetch(sql.query("recorded_retention"))}


def shorter_than_recorded(months: int, recorded: Mapping[int, int]) -> str | None:
    """What is wrong with taking away what is older than `months`, in words; None: no worker keeps anything older."""
    longer = {lane: kept for lane, kept in recorded.items() if kept > months}
    if not longer:
        return None
    return (
        f"{SETTING} is {months} here, and the workers keep {_described(longer)}: months that they still write would "
        f"leave. Give this command theirs; to keep less, restart the workers with {SETTING}={months} first: they "
        "record it when they claim their lanes"
    )


def require_same_retention(months: int, recorded: Mapping[int, int]) -> None:
    """Raises SettingsRefused where the workers keep more or less than we would judge by."""
    others = {lane: kept for lane, kept in recorded.items() if kept != months}
    if others:
        raise SettingsRefused(
            f"{SETTING} is {months} here, and the workers keep {_described(others)}: rows would be missed that are not "
            "kept, or passed over that are. Give this command theirs, or restart them with this one first: they "
            "record it when they claim their lanes"
        )


def _described(kept: Mapping[int, int]) -> str:
    """24 months (lanes 0, 1), 36 months (lane 2)."""
    parts = []
    for months in sorted(set(kept.values())):
        lanes = [str(lane) for lane, of_lane in sorted(kept.items()) if of_lane == months]
        parts.append(f"{months} months (lane{'s' if len(lanes) > 1 else ''} {', '.join(lanes)})")
    return ", ".join(parts)
