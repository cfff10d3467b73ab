"""Which day an event falls on, and which of its figures it moves: of the standard library alone, for every peer."""

from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Asia/Kolkata")  # of every property of the workload

FIGURES: Final = ("cash_received_cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents")


def column(event_type: str, payment_mode: str) -> int:
    """Which of the four figures of a day the event moves."""
    return 2 * (not event_type.startswith("revenue")) + (payment_mode == "bank")
