"""Balance corrections as accountants issue them: an absolute restatement of a day, or a count of its cash.

figures            the four movements of the day are these; the difference becomes an immutable adjustment
declared_closing   the cash was counted: the day closes with this, whatever was calculated; null withdraws the count
recompute          the day's movements are what transactions and adjustments say; weighs nothing itself
"""

from datetime import date, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.events import Identifier, RecordedBy

# A thousand times the largest transaction: what a day can move, far from where 64 bits end.
FIGURE_CENTS_MAX: Final = 10**15

FigureCents = Annotated[int, Meta(ge=0, le=FIGURE_CENTS_MAX)]
# A drawer cannot hold less than nothing; a ledger that lets a till overdraw can.
ClosingCents = Annotated[int, Meta(ge=-FIGURE_CENTS_MAX, le=FIGURE_CENTS_MAX)]
CorrectionKind = Literal["figures", "declared_closing", "recompute"]


class StatedFigures(Struct, frozen=True, gc=False):
    """The four movements of a day, as they are to be. Money in cents."""

    cash_received_cents: FigureCents
    bank_received_cents: FigureCents
    cash_expenses_cents: FigureCents
    bank_expenses_cents: FigureCents


class BalanceCorrection(Struct, frozen=True, gc=False):
    """One correction of one day. Identity: (org_id, correction_id), for ever."""

    correction_id: UUID
    org_id: Identifier
    property_id: Identifier
    balance_date: date
    kind: CorrectionKind
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]
    recorded_by: RecordedBy
    issued_at: Annotated[datetime, Meta(tz=True)]
    figures: StatedFigures | None = None
    # Absent is not null: null withdraws a count.
    declared_closing_cents: ClosingCents | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """What the kind needs is there, and nothing that another kind would mean. Raises ValueError."""
        if (self.kind == "figures") != (self.figures is not None):
            raise ValueError("belongs to kind figures, and to no other - at `$.figures`")
        if self.kind == "declared_closing":
            if self.declared_closing_cents is UNSET:
                raise ValueError("must be there, null withdraws the count - at `$.declared_closing_cents`")
        elif isinstance(self.declared_closing_cents, int):
            raise ValueError("belongs to kind declared_closing, and to no other - at `$.declared_closing_cents`")
