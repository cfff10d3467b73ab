"""Whether a redrive judges as the workers do: its own rules against those that they have recorded with their lanes."""

from collections.abc import Mapping

import asyncpg

import sql
from pipeline.errors import SettingsRefused

Ruling = Mapping[str, object]  # by the name of its column


async def disagreements(connection: asyncpg.Connection, rules: Ruling) -> list[str]:
    """Each rule in which the newest that a lane has recorded differs from ours, in words.

    Lanes that nobody claimed yet have recorded none, and nothing of them was quarantined.
    """
    rows = await connection.fetch(sql.query("newest_rules"))
    return [
        f"{name} is {ours} here, {', '.join(sorted({str(row[name]) for row in others}))} "
        f"for lanes {', '.join(str(row['lane']) for row in others)}"
        for name, ours in rules.items()
        if (others := [row for row in rows if row[name] != ours])
    ]


def require_agreement(differing: list[str]) -> None:
    """Raises SettingsRefused when the workers would judge the letters by other rules than we."""
    if differing:
        raise SettingsRefused(
            f"the workers judge by other rules: {'; '.join(differing)}. Give this command their settings, or restart "
            "them with these first: they record their rules when they claim their lanes"
        )
