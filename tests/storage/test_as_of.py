"""What the books said at an instant: held against copies of the balances, taken while the books were written."""

import itertools
import os
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final

import asyncpg
import pytest

from pipeline.errors import HistoryArchived, NotSettled, ReadRefused
from pipeline.storage.intent import Read
from schemas.records import Judged
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.simulation.plan import plan_of
from tests.storage.conftest import MakeLedger, Repositories
from tests.support.databases import EMPTY_THE_BOOKS
from tests.support.events import NOON, TODAY, Offsets
from tests.support.ledger import Ledger

READ: Final = Read()
# FOLIO_TEST_HISTORIES_AS_OF=500 takes four minutes.
HISTORIES: Final = int(os.environ.get("FOLIO_TEST_HISTORIES_AS_OF", "6"))
QUESTIONS: Final = 60  # of each history
_DAYS: Final = (
    "SELECT org_id, property_id, balance_date, opening_balance_cents, cash_received_cents, bank_received_cents, "
    "cash_expenses_cents, bank_expenses_cents, calculated_closing_balance_cents, declared_closing_cents, "
    "closing_balance_cents, balance_discrepancy_cents FROM finance.daily_cash_balances_partitioned"
)

Days = dict[tuple[int, int], dict[date, tuple[Any, ...]]]  # by organisation and property


async def copied(ledger: Ledger) -> Days:
    """The balances as they are now."""
    days: Days = {}
    for org_id, property_id, day, *figures in await ledger.rows(_DAYS):
        days.setdefault((org_id, property_id), {})[day] = tuple(figures)
    return days


def expected(days: dict[date, tuple[Any, ...]], day: date) -> tuple[Any, ...]:
    """The day's row; of a day without one, the one that equals it."""
    if day in days:
        return days[day]
    earlier = [other for other in days if other < day]
    closing = days[max(earlier)][7] if earlier else 0
    return (closing, 0, 0, 0, 0, closing, None, closing, 0)


async def asked(repositories: Repositories, org: int, property_: int, day: date, at: datetime) -> tuple[Any, ...]:
    found = await repositories.as_of.balance(org, property_, day, at, intent=READ)
    assert found is not None
    return (
        found.opening_balance_cents,
        found.cash_received_cents,
        found.bank_received_cents,
        found.cash_expenses_cents,
        found.bank_expenses_cents,
        found.calculated_closing_balance_cents,
        found.declared_closing_cents,
        found.closing_balance_cents,
        found.balance_discrepancy_cents,
    )


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_a_history_is_answered_as_it_was_at_every_instant(
    seed: int, make_ledger: MakeLedger, repositories: Repositories
) -> None:
    plan, chance = plan_of(seed), Random(seed)
    ledger = await make_ledger(lane_count=plan.lanes)
    places = {(lane, feed): Offsets(lane, feed=feed) for lane, feed in itertools.product(range(plan.lanes), Feed)}
    records: list[Judged] = [places[each.lane, each.feed].record(each.value, each.key) for each in plan.sendings]
    copies: list[tuple[int, datetime, Days]] = []
    while records:
        size = chance.choice((1, 2, 5, 20))
        batch = ledger.batch(*records[:size])
        del records[:size]
        await ledger.put(batch)
        now = await copied(ledger)
        ledger.clock.pass_seconds(chance.choice((0.0, 0.5)))
        for org in {org for slice_ in batch.slices for org in slice_.orgs if org is not None}:
            lane = await ledger.lane(home_lane(org, plan.lanes))
            copies.append((org, lane["last_recorded_at"], now))
    await _compare(copies, repositories, chance)


async def _compare(copies: list[tuple[int, datetime, Days]], repositories: Repositories, chance: Random) -> None:
    moved = {key for _, _, days in copies for key in days}
    places = [(org, at, days, property_) for org, at, days in copies for o, property_ in moved if o == org]
    for org, at, days, property_ in chance.sample(places, min(QUESTIONS, len(places))):
        known = days.get((org, property_), {})
        day = chance.choice([*known, TODAY, TODAY + timedelta(days=400)])
        assert await asked(repositories, org, property_, day, at) == expected(known, day), (org, property_, day, at)


async def test_a_transaction_that_left_the_property_is_still_there_at_the_time_before(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    before = (await ledger.lane(home_lane(1, 2)))["last_recorded_at"]
    await ledger.commit(ledger.event(1, 2, amount=100, property_=2))
    after = (await ledger.lane(home_lane(1, 2)))["last_recorded_at"]
    assert [(await asked(repositories, 1, 1, TODAY, at))[7] for at in (before, after)] == [100, 0]
    assert (await asked(repositories, 1, 2, TODAY, after))[7] == 100


async def test_the_highest_version_counts_and_not_the_one_that_came_last(
    ledger: Ledger, repositories: Repositories
) -> None:
    """Version 1 comes late, and is stale: what was recorded last says nothing."""
    await ledger.commit(ledger.event(1, 2, amount=70, verb="updated"))
    await ledger.commit(ledger.event(1, 1, amount=100))
    stale_recorded = (await ledger.lane(home_lane(1, 2)))["last_recorded_at"]
    await ledger.commit(ledger.event(1, 3, amount=5))
    assert (await asked(repositories, 1, 1, TODAY, stale_recorded))[7] == 70


async def test_past_the_safe_watermark_nothing_is_answered(ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    watermark = await repositories.as_of.safe_watermark(1, intent=READ)
    assert (await asked(repositories, 1, 1, TODAY, watermark))[7] == 100
    with pytest.raises(NotSettled, match=r"is settled up to 2026-03-10T\S+, and 2026-03-10T\S+ was asked for"):
        await asked(repositories, 1, 1, TODAY, watermark + timedelta(microseconds=1))


async def test_a_batch_in_flight_is_recorded_past_the_watermark(ledger: Ledger, repositories: Repositories) -> None:
    """Whoever holds the home lane has not been seen: what it records comes after what is answered."""
    await ledger.commit(ledger.event(1, amount=100))
    watermark = await repositories.as_of.safe_watermark(1, intent=READ)
    ledger.clock.set_back(60)  # another worker's clock is behind
    misrouted = 1 - home_lane(1, 2)
    await ledger.commit(ledger.event(2, amount=11, lane=misrouted))
    rows = await ledger.rows("SELECT recorded_at FROM event_store.events WHERE aggregate_id = 2")
    assert rows[0]["recorded_at"] > watermark
    assert (await asked(repositories, 1, 1, TODAY, watermark))[7] == 100


async def test_what_was_archived_is_refused_and_what_never_changed_is_not(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1, amount=100), ledger.event(9, amount=1, org=2))
    then = (await ledger.lane(home_lane(1, 2)))["last_recorded_at"]
    await ledger.commit(ledger.event(1, 2, amount=60))
    await ledger.admin.execute("ALTER TABLE event_store.events DETACH PARTITION event_store.events_2026_03")
    try:
        with pytest.raises(HistoryArchived, match="restore them"):
            await asked(repositories, 1, 1, TODAY, then)
        assert (await asked(repositories, 2, 1, TODAY, then))[7] == 1
    finally:
        await ledger.admin.execute(
            "ALTER TABLE event_store.events ATTACH PARTITION event_store.events_2026_03 "
            "FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-04-01 00:00:00+00')"
        )
    assert (await asked(repositories, 1, 1, TODAY, then))[7] == 100


async def test_what_is_left_beside_a_gap_is_not_taken_for_all(ledger: Ledger, repositories: Repositories) -> None:
    """Version 2 was archived: a stale version 1 that came later, or a version from before the gap, is not what was."""
    await ledger.admin.execute("SELECT ops.ensure_month('event_store.events', 'recorded_at', '2026-04-01')")
    await ledger.admin.execute("SELECT ops.ensure_month('event_store.events', 'recorded_at', '2026-05-01')")
    await ledger.commit(ledger.event(1, amount=100), ledger.event(2, 2, verb="updated", amount=1))
    ledger.clock.pass_seconds(30 * 86_400)
    await ledger.commit(ledger.event(1, 2, amount=70), ledger.event(3, amount=5))
    in_april = (await ledger.lane(home_lane(1, 2)))["last_recorded_at"]
    ledger.clock.pass_seconds(30 * 86_400)
    await ledger.commit(ledger.event(2, 1, amount=8))
    in_may = (await ledger.lane(home_lane(1, 2)))["last_recorded_at"]
    await ledger.commit(ledger.event(1, 3, amount=60), ledger.event(2, 3, amount=2))
    assert [(await asked(repositories, 1, 1, TODAY, at))[7] for at in (in_april, in_may)] == [76, 76]
    for gone, lost_at in (("2026_04", in_april), ("2026_03", in_may)):
        month = gone.replace("_", "-")
        await ledger.admin.execute(f"ALTER TABLE event_store.events DETACH PARTITION event_store.events_{gone}")
        try:
            with pytest.raises(HistoryArchived):
                await asked(repositories, 1, 1, TODAY, lost_at)
        finally:
            await ledger.admin.execute(
                f"ALTER TABLE event_store.events ATTACH PARTITION event_store.events_{gone} FOR VALUES "
                f"FROM ('{month}-01 00:00:00+00') TO ('2026-0{int(month[-1]) + 1}-01 00:00:00+00')"
            )


async def test_an_instant_needs_its_offset_and_a_property_must_be_known(
    ledger: Ledger, repositories: Repositories
) -> None:
    await ledger.commit(ledger.event(1))
    with pytest.raises(ReadRefused, match="needs its offset"):
        await asked(repositories, 1, 1, TODAY, NOON.replace(tzinfo=None))
    watermark = await repositories.as_of.safe_watermark(1, intent=READ)
    assert await repositories.as_of.balance(1, 99, TODAY, watermark, intent=READ) is None


async def test_the_watermark_is_of_the_home_lane_alone(ledger: Ledger, repositories: Repositories) -> None:
    other = next(org for org in range(2, 50) if home_lane(org, 2) != home_lane(1, 2))
    await ledger.commit(ledger.event(1))
    before = await repositories.as_of.safe_watermark(1, intent=READ)
    ledger.clock.pass_seconds(10)
    await ledger.commit(ledger.event(2, org=other))
    assert await repositories.as_of.safe_watermark(1, intent=READ) == before
    assert await repositories.as_of.safe_watermark(other, intent=READ) > before


async def test_without_lanes_there_is_no_watermark(pool: asyncpg.Pool, repositories: Repositories) -> None:
    await pool.execute(EMPTY_THE_BOOKS)
    with pytest.raises(ReadRefused, match="no lanes yet"):
        await repositories.as_of.safe_watermark(1, intent=READ)
