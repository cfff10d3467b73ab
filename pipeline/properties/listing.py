"""A page of the properties, for people and programs."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

import sql
from pipeline.properties.rules import calendar_text, plain
from schemas.currencies import in_major_units
from schemas.properties import BEGINNING, Calendar
from schemas.records import PropertyKey

_ORG_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Listed:
    """A property as it stands."""

    key: PropertyKey
    name: str | None
    currency: str
    opening_cash_cents: int
    self_registered: bool
    calendar: Calendar

    @property
    def opening_cash(self) -> str | None:
        """In major units; None where the currency is none of ISO 4217."""
        return in_major_units(self.opening_cash_cents, self.currency)

    @property
    def zones(self) -> str:
        return calendar_text(self.calendar)

    def document(self) -> dict[str, object]:
        """As `--output json` writes it: what a load reads, and what only the database knows."""
        return {
            "org_id": self.key[0],
            "property_id": self.key[1],
            "name": self.name,
            "currency": self.currency,
            "opening_cash_cents": self.opening_cash_cents,
            "opening_cash": self.opening_cash,
            "time_zones": [
                {"from": None if valid_from == BEGINNING else valid_from, "zone": zone}
                for valid_from, zone in plain(self.calendar)
            ],
            "self_registered": self.self_registered,
        }


async def list_properties(
    connection: asyncpg.Connection, org_id: int | None, after: PropertyKey | None, limit: int
) -> Sequence[Listed]:
    """At most `limit` properties after a key, of one organisation or of all."""
    start = (0, 0) if org_id is None else (org_id, 0)
    start = start if after is None else max(start, after)
    rows = await connection.fetch(sql.query("list_properties"), *start, org_id or _ORG_MAX, limit)
    return [
        Listed(
            key=(row["org_id"], row["property_id"]),
            name=row["name"],
            currency=row["currency"],
            opening_cash_cents=row["opening_cash_cents"],
            self_registered=row["self_registered"],
            calendar=tuple(zip(row["valid_froms"], row["time_zones"], strict=True)),
        )
        for row in rows
    ]
