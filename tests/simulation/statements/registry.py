"""Statements by their text: how each is registered, and what it is given."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import sql
from tests.simulation.database import Row

Moment = Callable[[int | None], Any]  # an instant as the connection hands it out
Staged = dict[str, list[Row]]
Values = Iterable[Sequence[Any]]
Run = Callable[..., Awaitable[Values]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A statement: what its result is called, and what it does."""

    name: str
    columns: tuple[str, ...]
    run: Run


def names(text: str) -> tuple[str, ...]:
    """Names that are written with blanks between them."""
    return tuple(text.split())


HANDLERS: Final[dict[str, Handler]] = {}

STAGED: Final[dict[str, tuple[str, ...]]] = {
    "staging_events": names(
        "recorded_at lane record_offset org_id aggregate_type aggregate_id version event_type event_id "
        "property_id balance_date occurred_at appended_at outcome hash_version content_hash event_data "
        "headers booking retained payment_mode status amount_cents contribution_cents currency category "
        "description bank_reference source created_at created_by_user_id approved_at approved_by_user_id"
    ),
    "staging_balances": names(
        "org_id property_id balance_date version opening_balance_cents cash_received_cents "
        "bank_received_cents cash_expenses_cents bank_expenses_cents calculated_closing_balance_cents "
        "declared_closing_cents closing_balance_cents balance_discrepancy_cents last_event_id updated_at"
    ),
}


def statement(name: str, columns: str = "") -> Callable[[Run], Run]:
    """The statement of sql/queries/<name>.sql."""

    def register(run: Run) -> Run:
        HANDLERS[sql.query(name)] = Handler(name, tuple(columns.split()), run)
        return run

    return register


def of_the_oracle(name: str, columns: str) -> Callable[[Run], Run]:
    """The statement of pipeline/oracle/<name>.sql."""

    def register(run: Run) -> Run:
        text = (files("pipeline.oracle") / f"{name}.sql").read_text(encoding="utf-8")
        HANDLERS[text] = Handler(f"oracle {name}", tuple(columns.split()), run)
        return run

    return register


def picked(row: Row, columns: str) -> list[Any]:
    return [row[name] for name in columns.split()]
