"""The sieve of a full check: nothing that both sides of a comparison say may change on one of them and come through."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from pipeline.consistency.scope import Scope
from pipeline.consistency.sieve import drawn_prime, suspect_orgs
from pipeline.rebuild.looking import FROM_THE_BEGINNING
from schemas.instants import Instant, instant_of
from tests.consistency.conftest import Open
from tests.consistency.test_checking import three_days
from tests.rebuild.test_books import history
from tests.support.events import NOON, TODAY
from tests.support.ledger import Ledger

_SNAPSHOT: Final = "event_store.snapshots"
_EVENT: Final = "event_store.events"
_ROW: Final = "finance.revenues_partitioned"
_DAY: Final = "finance.daily_cash_balances_partitioned"
_PRIME: Final = 2**31 - 1
_BOTH: Final = (
    "version = version + 5",
    "property_id = property_id + 1",
    "occurred_at = occurred_at + interval '1 microsecond'",
    "balance_date = balance_date + 1",
    "amount_cents = amount_cents + 1",
    "payment_mode = CASE payment_mode WHEN 'cash' THEN 'bank' ELSE 'cash' END",
    "created_at = created_at + interval '1 microsecond'",
    "created_by_user_id = created_by_user_id + 1",
    "approved_at = NULL",
    "approved_at = approved_at + interval '1 microsecond'",
    "approved_by_user_id = NULL",
    "approved_by_user_id = approved_by_user_id + 1",
)
_STORED: Final = (
    "version = version + 5",
    "property_id = property_id + 1",
    "occurred_at = occurred_at + interval '1 microsecond'",
    "balance_date = balance_date + 1",
    "hash_version = hash_version + 1",
    "content_hash = set_byte(content_hash, 15, get_byte(content_hash, 15) # 1)",
)
HURTS: Final = (
    *(f"UPDATE {_SNAPSHOT} SET {each}" for each in {*_BOTH, *_STORED} if not each.startswith("amount")),
    f"UPDATE {_SNAPSHOT} SET amount_cents = 3, contribution_cents = 3",
    f"UPDATE {_SNAPSHOT} SET status = 'deleted', contribution_cents = 0",
    f"UPDATE {_SNAPSHOT} SET updated_at = updated_at + interval '1 microsecond'",
    f"DELETE FROM {_SNAPSHOT}",
    *(f"UPDATE {_EVENT} SET {each}" for each in _STORED),
    f"UPDATE {_EVENT} SET recorded_at = recorded_at + interval '1 microsecond'",
    f"DELETE FROM {_EVENT}",
    *(f"UPDATE {_ROW} SET {each}" for each in _BOTH),
    f"UPDATE {_ROW} SET currency = 'CHF'",
    f"UPDATE {_ROW} SET status = 'pending'",
    f"DELETE FROM {_ROW}",
)


async def _books(ledger: Ledger) -> None:
    """Those of `three_days`; and transactions of one version, all approved, of a property in organisation 3."""
    await three_days(ledger)
    await ledger.commit(
        *(
            ledger.event(each, org=3, at=NOON + timedelta(days=day), amount=100 + each, mode=mode, kind=kind)
            for each, (day, mode, kind) in enumerate(
                ((day, mode, kind) for day in (0, 1) for mode in ("cash", "bank") for kind in ("revenue", "expense")), 1
            )
        )
    )


async def _suspects(ledger: Ledger, means: Open, slices: int = 1, begins: Instant = FROM_THE_BEGINNING) -> list[int]:
    async with means(ledger) as opened, opened.reading.transaction():
        wanted = replace(opened.wanted, store_begins=begins)
        scopes = [Scope(slices, number) for number in range(slices)]
        return sorted([org for each in scopes for org in await suspect_orgs(opened.reading, each, wanted)])


@pytest.mark.parametrize("slices", [1, 4, 16])
async def test_nobody_is_suspect_whose_books_are_right(ledger: Ledger, means: Open, slices: int) -> None:
    """A close look would acquit them, and read the whole store for it."""
    await history(ledger)
    assert await _suspects(ledger, means, slices) == []


@pytest.mark.parametrize(("org", "aggregate"), [(1, 1), (3, 1)], ids=["of two versions", "of one version"])
@pytest.mark.parametrize("hurt", sorted(HURTS))
async def test_what_one_side_says_otherwise_is_suspect(
    ledger: Ledger, means: Open, hurt: str, org: int, aggregate: int
) -> None:
    await _books(ledger)
    assert await _suspects(ledger, means) == []
    id_ = "id" if _ROW in hurt else "aggregate_id"
    newest = " AND outcome = 'applied' AND version = (CASE org_id WHEN 1 THEN 2 ELSE 1 END)" if _EVENT in hurt else ""
    done = await ledger.admin.execute(f"{hurt} WHERE (org_id, {id_}) = ({org}, {aggregate}){newest}")
    assert done.endswith(" 1")
    assert await _suspects(ledger, means) == [org]


@pytest.mark.parametrize(
    "hurt",
    [
        # From one day to the next, from one mode and kind to another, from one property to another: in sum the same.
        (
            "bank_received_cents = bank_received_cents "
            f"+ CASE balance_date WHEN '{TODAY}' THEN 5 WHEN '{TODAY + timedelta(days=1)}' THEN -5 ELSE 0 END"
        ),
        "bank_received_cents = bank_received_cents + 5, bank_expenses_cents = bank_expenses_cents + 5",
        "bank_received_cents = bank_received_cents + 5, bank_expenses_cents = bank_expenses_cents - 5",
        "bank_received_cents = bank_expenses_cents, bank_expenses_cents = bank_received_cents",
        "bank_received_cents = -bank_received_cents",
        (
            "cash_received_cents = cash_received_cents + 5, cash_expenses_cents = cash_expenses_cents + 5, "
            "bank_received_cents = bank_received_cents - 5, bank_expenses_cents = bank_expenses_cents - 5"
        ),
        "property_id = 9",
        # By what a weighed sum could lose.
        f"bank_received_cents = bank_received_cents + {_PRIME}",
        f"bank_received_cents = bank_received_cents + {_PRIME}, bank_expenses_cents = bank_expenses_cents - {_PRIME}",
        f"cash_received_cents = cash_received_cents - {_PRIME}, cash_expenses_cents = cash_expenses_cents - {_PRIME}",
        "bank_received_cents = 9223372036854775807",
        "bank_expenses_cents = -9223372036854775808",
    ],
)
async def test_money_that_stands_on_another_day_is_suspect(ledger: Ledger, means: Open, hurt: str) -> None:
    await _books(ledger)
    assert (await ledger.admin.execute(f"UPDATE {_DAY} SET {hurt} WHERE org_id = 3")).endswith(" 2")
    assert await _suspects(ledger, means) == [3]


@pytest.mark.parametrize("declared", ["NULL", "91", "CASE property_id WHEN 1 THEN 80 ELSE 90 END"])
async def test_a_count_that_is_another_is_suspect(ledger: Ledger, means: Open, declared: str) -> None:
    """Of the last days of two properties, which no later opening tells of; the last case exchanges them."""
    await three_days(ledger)
    await ledger.commit(
        *(ledger.correction(org=6, property_=each, day=TODAY, declared=70 + 10 * each) for each in (1, 2))
    )
    for each in (2, 1):
        await ledger.commit(ledger.correction(org=6, property_=each, day=TODAY, declared=100 - 10 * each))
    assert await _suspects(ledger, means) == []
    await ledger.admin.execute(
        f"UPDATE {_DAY} SET declared_closing_cents = {declared}, "
        f"closing_balance_cents = coalesce({declared}, calculated_closing_balance_cents), "
        f"balance_discrepancy_cents = coalesce({declared} - calculated_closing_balance_cents, 0) WHERE org_id = 6"
    )
    assert await _suspects(ledger, means) == [6]


async def test_of_a_transaction_that_nobody_has_approved_the_rest_is_compared_too(ledger: Ledger, means: Open) -> None:
    """A hash of nothing is nothing, and would be passed over."""
    await ledger.commit(ledger.event(1, org=4, amount=5, status="pending"))
    assert await _suspects(ledger, means) == []
    await ledger.admin.execute(f"UPDATE {_ROW} SET amount_cents = 6")
    assert await _suspects(ledger, means) == [4]


async def test_older_versions_late_ones_and_deleted_transactions_are_no_suspects(ledger: Ledger, means: Open) -> None:
    """Their events have no snapshot of their own: whoever went beyond them is there."""
    await ledger.commit(*(ledger.event(1, version, org=5, amount=version) for version in (1, 3, 4)))
    await ledger.commit(ledger.event(1, 2, org=5, amount=2), ledger.event(2, 7, org=5, status="deleted"))
    await ledger.commit(ledger.event(2, 3, org=5, amount=8), ledger.event(3, 2, org=6, amount=8))
    assert await _suspects(ledger, means) == []
    for hurt in ("version = 3", "version = 5"):
        async with ledger.admin.transaction():
            await ledger.admin.execute(f"UPDATE {_SNAPSHOT} SET {hurt} WHERE (org_id, aggregate_id) = (5, 1)")
        assert await _suspects(ledger, means) == [5]


@pytest.mark.parametrize("slices", [1, 16])
async def test_what_months_that_left_would_witness_is_not_asked_for(ledger: Ledger, means: Open, slices: int) -> None:
    await ledger.commit(ledger.event(1, org=5, amount=1), ledger.event(1, 3, org=6, amount=3), ledger.event(2, org=6))
    ledger.clock.pass_seconds(3600)
    begins = instant_of(ledger.clock.now())
    ledger.clock.pass_seconds(3600)
    await ledger.commit(ledger.event(1, 2, org=5, amount=2), ledger.event(1, 2, org=6), ledger.event(1, org=7))
    left = await ledger.admin.execute(
        f"DELETE FROM {_EVENT} WHERE recorded_at < (SELECT max(recorded_at) - interval '30 minutes' FROM {_EVENT})"
    )
    assert left == "DELETE 3"
    assert await _suspects(ledger, means, slices, begins) == []
    assert await _suspects(ledger, means, slices) == [6]
    await ledger.admin.execute(f"UPDATE {_SNAPSHOT} SET content_hash = '\\x00' WHERE org_id IN (5, 7)")
    assert await _suspects(ledger, means, slices, begins) == [5, 7]


async def test_an_event_of_a_month_that_was_restored_beside_a_gap_is_not_asked_for(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, org=5, amount=1))
    ledger.clock.pass_seconds(3600)
    begins = instant_of(ledger.clock.now())
    await ledger.admin.execute(f"UPDATE {_SNAPSHOT} SET content_hash = '\\x00'")
    assert await _suspects(ledger, means, begins=begins) == []


def test_a_prime_is_drawn_among_many() -> None:
    drawn = {drawn_prime() for _ in range(20)}
    assert len(drawn) > 1
    for each in drawn:
        assert 2**30 < each < 2**31
        assert all(pow(base, each - 1, each) == 1 for base in (2, 3, 5, 7))
