"""What is looked at in one snapshot of the database: a slice of all organisations, or some of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# The hash partitions of snapshots and balances: a slice is some whole ones.
PARTITIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Scope:
    """The slice `number` of `slices`, or, where these are None, the organisations `orgs`."""

    slices: int | None = None
    number: int | None = None
    orgs: Sequence[int] | None = None

    @property
    def of_slice(self) -> tuple[int | None, int | None]:
        """As what reads slices alone takes it: $1, $2."""
        return self.slices, self.number

    @property
    def arguments(self) -> tuple[int | None, int | None, Sequence[int] | None]:
        """As what reads slices or organisations takes it: $1, $2, $3."""
        return self.slices, self.number, self.orgs

    def __str__(self) -> str:
        if self.orgs is not None:
            return f"organisations {self.orgs[0]} to {self.orgs[-1]}"
        return f"slice {(self.number or 0) + 1} of {self.slices}"


def slices_for(transactions: int, slice_transactions_max: int) -> int:
    """As few slices as keep each below so many transactions: 1, 2, 4, 8 or 16.

    The store and the transactions are partitioned by time, so that each slice reads them from end to end: fewer slices
    are cheaper. But a slice is one snapshot of the database, and keeps vacuum from what has died since it began.
    """
    slices = 1
    while slices < PARTITIONS and transactions > slices * slice_transactions_max:
        slices *= 2
    return slices
