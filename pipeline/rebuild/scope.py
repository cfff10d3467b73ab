"""What is rebuilt, for whom, and what came of it: plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Part(StrEnum):
    """What can be rebuilt, in the order in which each follows from the one before."""

    SNAPSHOTS = "snapshots"
    TRANSACTIONS = "transactions"
    BALANCES = "balances"
    USERS = "users"
    REPORTS = "reports"


ORG_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Slice:
    """Organisations above `after`, up to and with `upto`; of these only `orgs` where that is given."""

    after: int = 0
    upto: int = ORG_MAX
    orgs: Sequence[int] | None = None

    @classmethod
    def of(cls, orgs: Sequence[int]) -> "Slice":
        """Some organisations, at least one."""
        return cls(min(orgs) - 1, max(orgs), sorted(set(orgs)))

    @property
    def arguments(self) -> tuple[int, int, Sequence[int] | None]:
        """As every query of a slice takes it: $1, $2, $3."""
        return self.after, self.upto, self.orgs


@dataclass(slots=True)
class Tally:
    """What a rebuild has looked at, and what it has changed, or in a dry run would have."""

    looked_at: int = 0  # stored events, or of balances properties, of reports rows
    changed: dict[str, int] = field(default_factory=dict)  # rows, by what they are called

    def count(self, what: str, rows: int = 1) -> None:
        """Some more rows of a kind were changed."""
        if rows:
            self.changed[what] = self.changed.get(what, 0) + rows

    def add(self, looked_at: int, changed: Mapping[str, int]) -> None:
        """What another tally, or a job's record of one, has counted."""
        self.looked_at += looked_at
        for what, rows in changed.items():
            self.count(what, rows)
