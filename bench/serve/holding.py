"""What a subscriber holds after each thing told, by the contract of docs/realtime.md, and what must never happen."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

Day = tuple[int, int]  # property, day as its ordinal
State = tuple[int, int]  # version, closing balance in cents


class ToldBalance(msgspec.Struct, frozen=True, gc=False):
    """As much of a balance, or an update of one, as is kept."""

    property_id: int
    balance_date: date
    version: int
    closing_balance_cents: int
    changed_at: datetime | None = None
    event_id: UUID | None = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """A message of the server, of whatever type."""

    type: str
    cursor: str | None = None
    previous_version: int | None = None
    balance: ToldBalance | None = None
    balances: list[ToldBalance] = []
    last: bool = False
    reason: str | None = None
    detail: str | None = None


decode: Final = msgspec.json.Decoder(Told).decode


@dataclass(slots=True)
class Holder:
    """The days that one subscription holds, and the cursor that it comes back with."""

    held: dict[Day, State] = field(default_factory=dict)
    cursor: str | None = None
    complete: bool = False  # the last page of a snapshot has come, or it has gone on by its cursor
    _pages: bool = False

    def begin(self) -> None:
        """Subscribed anew. With a cursor it goes on where it was."""
        self._pages, self.complete = False, self.cursor is not None

    def hear(self, told: Told, counts: Counter[str]) -> ToldBalance | None:
        """The update that it took, if this was one. What happens, and what must not, is counted by its name."""
        kind = told.type
        taken = None
        if kind == "update":
            taken = self._take(told, counts)
        elif kind == "snapshot":
            self._snapshot(told)
        elif kind == "resync":
            self.complete = False
            counts[f"resync {told.reason}"] += 1
        elif kind in ("closed", "refused"):
            counts[f"{kind} {told.reason}"] += 1
        if kind != "update":
            self._pages = kind == "snapshot"
        if told.cursor is not None:
            self.cursor = told.cursor
        return taken

    def _snapshot(self, told: Told) -> None:
        """Its first page replaces what was held."""
        if not self._pages:
            self.held = {}
        for each in told.balances:
            self.held[each.property_id, each.balance_date.toordinal()] = each.version, each.closing_balance_cents
        self.complete = told.last

    def _take(self, told: Told, counts: Counter[str]) -> ToldBalance | None:
        balance = told.balance
        assert balance is not None, "an update has one"
        key = balance.property_id, balance.balance_date.toordinal()
        version, _ = self.held.get(key, (0, 0))
        if not self.complete:
            counts["update before a snapshot"] += 1
        if (told.previous_version or 0) > version:
            counts["gap"] += 1
        if balance.version <= version:
            counts["told again"] += 1
            return None
        self.held[key] = balance.version, balance.closing_balance_cents
        return balance


def breaches(counts: Counter[str]) -> int:
    """How often something happened that the contract rules out."""
    return counts["gap"] + counts["update before a snapshot"]


Books = dict[int, dict[Day, State]]  # by organisation


def differences(held: list[tuple[int, dict[Day, State]]], books: Books) -> int:
    """Days that a subscriber holds otherwise than the books have them, or lacks, or has for itself."""
    count = 0
    for org_id, days in held:
        wanted = books.get(org_id, {})
        count += sum(days.get(day) != state for day, state in wanted.items()) + len(days.keys() - wanted.keys())
    return count
