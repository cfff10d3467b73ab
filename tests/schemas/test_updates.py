"""What subscribers hear: exact, complete, and the same bytes in the outbox as in the topic."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from schemas.updates import BalanceUpdate, encode_update, join_updates, split_updates

cents = st.integers(-(2**63), 2**63 - 1)
updates = st.builds(
    BalanceUpdate,
    org_id=st.integers(1, 2**63 - 1),
    property_id=st.integers(1, 2**63 - 1),
    balance_date=st.dates(),
    epoch=st.text(),
    version=st.integers(1, 2**63 - 1),
    opening_balance_cents=cents,
    cash_received_cents=cents,
    bank_received_cents=cents,
    cash_expenses_cents=cents,
    bank_expenses_cents=cents,
    calculated_closing_balance_cents=cents,
    declared_closing_cents=st.none() | cents,
    closing_balance_cents=cents,
    balance_discrepancy_cents=cents,
    changed_at=st.integers(0, 2**52).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)),
    cause=st.sampled_from(["event", "carry_forward"]),
    event_id=st.none() | st.uuids(),
    traceparent=st.just(UNSET) | st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)


@given(st.lists(updates, max_size=5))
def test_what_the_outbox_keeps_comes_back_to_the_byte(given_: list[BalanceUpdate]) -> None:
    encoded = [encode_update(update) for update in given_]
    assert split_updates(join_updates(encoded)) == encoded
    assert [update for update, _ in encoded] == given_


def test_an_update_is_a_json_document_that_names_every_figure() -> None:
    update = BalanceUpdate(
        org_id=1,
        property_id=2,
        balance_date=date(2026, 3, 10),
        epoch="7-1",
        version=3,
        opening_balance_cents=10,
        cash_received_cents=20,
        bank_received_cents=30,
        cash_expenses_cents=5,
        bank_expenses_cents=6,
        calculated_closing_balance_cents=25,
        declared_closing_cents=None,
        closing_balance_cents=25,
        balance_discrepancy_cents=0,
        changed_at=datetime(2026, 3, 10, 12, tzinfo=UTC),
        cause="event",
        event_id=UUID(int=1),
    )
    document: dict[str, Any] = json.loads(encode_update(update).line)
    assert document == {
        "org_id": 1,
        "property_id": 2,
        "balance_date": "2026-03-10",
        "epoch": "7-1",
        "version": 3,
        "opening_balance_cents": 10,
        "cash_received_cents": 20,
        "bank_received_cents": 30,
        "cash_expenses_cents": 5,
        "bank_expenses_cents": 6,
        "calculated_closing_balance_cents": 25,
        "declared_closing_cents": None,
        "closing_balance_cents": 25,
        "balance_discrepancy_cents": 0,
        "changed_at": "2026-03-10T12:00:00Z",
        "cause": "event",
        "event_id": "00000000-0000-0000-0000-000000000001",
    }


def test_an_empty_row_of_the_outbox_has_no_updates() -> None:
    assert split_updates(join_updates([])) == []
