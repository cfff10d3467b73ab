"""Snapshots, transactions and balances, damaged in every way that constraints allow, and made right by a rebuild."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import asyncpg
import pytest

from pipeline.errors import SettingsRefused, StoreDamaged
from pipeline.rebuild.job import Order, Progress, run
from pipeline.rebuild.scope import Part
from schemas.updates import split_updates
from tests.rebuild.conftest import Open
from tests.rebuild.damages import DAMAGES
from tests.support.events import NOON
from tests.support.ledger import Ledger

BOOKS: Final = frozenset({Part.SNAPSHOTS, Part.TRANSACTIONS, Part.BALANCES})
STATES: Final = {
    "snapshots": "SELECT * FROM event_store.snapshots ORDER BY org_id, aggregate_type, aggregate_id",
    "revenues": "SELECT * FROM finance.revenues_partitioned ORDER BY org_id, id, occurred_at",
    "expenses": "SELECT * FROM finance.expenses_partitioned ORDER BY org_id, id, occurred_at",
    "balances": "SELECT org_id, property_id, balance_date, opening_balance_cents, cash_received_cents, "
    "bank_received_cents, cash_expenses_cents, bank_expenses_cents, declared_closing_cents, closing_balance_cents, "
    "balance_discrepancy_cents FROM finance.daily_cash_balances_partitioned ORDER BY 1, 2, 3",
}


async def history(ledger: Ledger, *, seed: int = 1, count: int = 80, orgs: int = 3) -> None:
    """Transactions that are made, edited, moved, approved, deleted, overtaken; days that are restated and counted."""
    chance = Random(seed)
    versions: dict[tuple[int, int], int] = {}
    records: list[Any] = []
    for number in range(count):
        org, id_ = chance.randint(1, orgs), chance.randint(1, 25)
        newest = versions.get((org, id_), 0)
        version = newest + chance.choice((1, 1, 1, 2, -1)) if newest > 1 else newest + 1
        versions[org, id_] = max(newest, version)
        texts = {"description": f"entry {number}"} if chance.random() < 0.5 else {}
        records.append(
            ledger.event(
                id_,
                version,
                org=org,
                property_=chance.randint(1, 2),
                kind=("revenue", "expense")[id_ % 2],
                mode=chance.choice(("cash", "bank")),
                status=chance.choice(("approved", "approved", "pending", "rejected")),
                amount=chance.randint(1, 500),
                at=NOON - timedelta(days=chance.choice((0, 0, 1, 2, 30, 70))),
                lane=chance.choice((None, None, None, 0, 1)),
                **texts,
            )
        )
        if chance.random() < 0.2:
            day = (NOON - timedelta(days=chance.choice((0, 1, 2)))).date()
            restated = chance.choice(({"figures": (9, 8, 7, 6)}, {"declared": 77}, {"declared": None}, {}))
            records.append(ledger.correction(org=org, property_=chance.randint(1, 2), day=day, **restated))
        if chance.random() < 0.2:
            await ledger.commit(*records)
            records.clear()
            for offsets in (*ledger.lanes.values(), *ledger.desks.values()):
                offsets.appended_at += timedelta(minutes=1)  # who made it first, made it earlier
    await ledger.commit(*records)


async def states(ledger: Ledger) -> dict[str, list[asyncpg.Record]]:
    return {name: await ledger.rows(statement) for name, statement in STATES.items()}


async def rebuild(
    ledger: Ledger, means: Open, parts: frozenset[Part] = BOOKS, org: int | None = None, **options: Any
) -> Progress:
    async with means(ledger, *parts, **options) as found:
        return await run(found, Order(parts, org), "test", lambda _line: None)


def changes(progress: Progress) -> dict[str, int]:
    return {what: rows for tally in progress.tallies.values() for what, rows in tally.changed.items()}


async def test_right_books_stay_as_they_are(ledger: Ledger, means: Open) -> None:
    await history(ledger)
    before = await states(ledger)
    written = await ledger.rows("SELECT version, updated_at FROM finance.daily_cash_balances_partitioned")
    assert changes(await rebuild(ledger, means)) == {}
    assert await states(ledger) == before
    assert await ledger.rows("SELECT version, updated_at FROM finance.daily_cash_balances_partitioned") == written
    assert not await ledger.value("SELECT sum(rebuilds)::int FROM ops.lanes")


@pytest.mark.parametrize("what", DAMAGES)
async def test_what_was_damaged_is_made_right(ledger: Ledger, means: Open, what: str) -> None:
    await history(ledger)
    before = await states(ledger)
    await ledger.admin.execute(DAMAGES[what])
    assert await states(ledger) != before
    tried = changes(await rebuild(ledger, means, dry_run=True))
    assert tried
    assert await states(ledger) != before
    assert changes(await rebuild(ledger, means))
    assert await states(ledger) == before
    assert changes(await rebuild(ledger, means, dry_run=True)) == {}


async def test_everything_is_made_from_nothing(ledger: Ledger, means: Open) -> None:
    """But for the store, the corrections and the properties."""
    await history(ledger)
    before = await states(ledger)
    await ledger.admin.execute(
        "TRUNCATE event_store.snapshots, finance.revenues_partitioned, finance.expenses_partitioned, "
        "finance.daily_cash_balances_partitioned"
    )
    await rebuild(ledger, means, events_a_slice=20)
    after = await states(ledger)
    # A day whose movements have come to nothing, and that nobody counted, needs no row.
    needed = [row for row in before["balances"] if any(row[4:8]) or row["declared_closing_cents"] is not None]
    assert [row for row in after["balances"] if row in needed] == needed
    assert {name: rows for name, rows in after.items() if name != "balances"} == {
        name: rows for name, rows in before.items() if name != "balances"
    }


async def test_one_organisation_alone(ledger: Ledger, means: Open) -> None:
    await history(ledger)
    await ledger.admin.execute("DELETE FROM finance.revenues_partitioned")
    await rebuild(ledger, means, frozenset({Part.TRANSACTIONS}), org=2)
    assert {row[0] for row in await ledger.rows("SELECT org_id FROM finance.revenues_partitioned")} == {2}


async def test_a_rebuilt_row_comes_back_above_every_version_and_everybody_is_told(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    await ledger.commit(ledger.event(2, org=2))  # of somebody else: what the row can have had is counted over all
    stood = await ledger.lane(1)
    await ledger.admin.execute(DAMAGES["a day's movements"] + " AND org_id = 1")
    await rebuild(ledger, means, frozenset({Part.BALANCES}))
    assert await ledger.days() == [(NOON.date(), 3, 0, 100)]
    home = await ledger.lane(1)
    (row,) = await ledger.rows("SELECT seq, updates FROM ops.outbox WHERE lane = 1 ORDER BY seq DESC LIMIT 1")
    (told,) = split_updates(row["updates"])
    assert (row["seq"], home["outbox_seq"], home["rebuilds"]) == (2, 2, 1)
    assert (told.update.version, told.update.cause, told.update.cash_received_cents) == (3, "rebuild", 100)
    # The lane itself stands where it stood: its owner goes on.
    kept = ("owner_epoch", "batch_id", "finance_position", "corrections_position", "chain_head", "batches")
    assert [home[name] for name in kept] == [stood[name] for name in kept]
    assert home["last_recorded_at"] > stood["last_recorded_at"]
    await ledger.commit(ledger.event(3, amount=1))
    assert await ledger.days() == [(NOON.date(), 4, 0, 101)]


async def test_a_lost_row_comes_back_above_every_version_that_it_can_have_had(ledger: Ledger, means: Open) -> None:
    for version in range(1, 6):
        await ledger.commit(ledger.event(1, version, amount=version))
    for _ in range(3):  # rebuilds raise versions too, without any batch
        await ledger.admin.execute(DAMAGES["a day's movements"])
        await rebuild(ledger, means, frozenset({Part.BALANCES}))
    before = (await ledger.days())[0][1]
    assert before == 8
    for _ in range(2):
        await ledger.admin.execute("DELETE FROM finance.daily_cash_balances_partitioned")
        await rebuild(ledger, means, frozenset({Part.BALANCES}))
        ((_, version, _, closing),) = await ledger.days()
        assert version > before
        assert closing == 5
        before = version


async def test_a_lost_row_that_a_batch_has_made_anew_comes_back_above_what_it_had(ledger: Ledger, means: Open) -> None:
    """It counts from 1 again, and subscribers hold a higher version: they would pass over all that follows."""
    for version in range(1, 6):
        await ledger.commit(ledger.event(1, version, amount=version))
    await ledger.admin.execute("DELETE FROM finance.daily_cash_balances_partitioned")
    await ledger.commit(ledger.event(2, amount=10))
    assert [day[1:] for day in await ledger.days()] == [(1, 0, 10)]
    await rebuild(ledger, means, frozenset({Part.BALANCES}))
    ((_, version, _, closing),) = await ledger.days()
    assert version > 5
    assert closing == 15


async def test_no_version_is_above_what_all_batches_and_rebuilds_can_have_raised(ledger: Ledger, means: Open) -> None:
    """What the next lost row will come back above. Batches of several lanes, steps of several homes, damage between."""
    for seed in range(1, 4):
        await history(ledger, seed=seed, count=30)
        before = await versions(ledger)
        await ledger.admin.execute(DAMAGES["an opening"])
        await ledger.admin.execute(DAMAGES["days that are gone"])
        await rebuild(ledger, means, frozenset({Part.BALANCES}))
        after = await versions(ledger)
        assert all(after[key] >= version for key, version in before.items() if key in after)
        assert max(after.values()) <= await ledger.value("SELECT sum(batches + rebuilds)::int FROM ops.lanes")


async def versions(ledger: Ledger) -> dict[tuple[Any, ...], int]:
    rows = await ledger.rows(
        "SELECT org_id, property_id, balance_date, version FROM finance.daily_cash_balances_partitioned"
    )
    return {tuple(row)[:3]: row[3] for row in rows}


async def test_a_transaction_past_retention_is_not_given_a_row_that_it_lacks(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1), ledger.event(2, at=NOON - timedelta(days=40)))
    await ledger.admin.execute("DELETE FROM finance.revenues_partitioned")
    ledger.clock.wall += timedelta(days=31 * 23)
    await rebuild(ledger, means)
    assert [row[0] for row in await ledger.transactions()] == [1]
    # One that stands, and is wrong, is made right.
    ledger.clock.wall += timedelta(days=100)
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET description = 'x'")
    await rebuild(ledger, means)
    assert [tuple(row) for row in await ledger.rows("SELECT id, description FROM finance.revenues_partitioned")] == [
        (1, None)
    ]


async def test_the_highest_version_wins_though_it_was_taken_for_late(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, 1, amount=100))
    await ledger.admin.execute("UPDATE event_store.snapshots SET version = 9")
    await ledger.commit(ledger.event(1, 2, amount=50))
    assert await ledger.stored() == [(1, 1, "applied"), (1, 2, "stale")]
    await rebuild(ledger, means)
    assert [row[:3] for row in await ledger.transactions()] == [(1, 2, 50)]
    assert [day[3] for day in await ledger.days()] == [50]


async def test_writers_that_go_on_meanwhile_lose_nothing(ledger: Ledger, means: Open) -> None:
    """What is stored between the look and the lock is in what is written."""
    await history(ledger)
    at_first = [ledger.event(90, 1, org=org, amount=10) for org in (1, 2, 3)]
    await ledger.commit(*at_first)
    await ledger.admin.execute("DELETE FROM finance.revenues_partitioned; DELETE FROM event_store.snapshots")
    moved_on: list[int] = []

    async with means(ledger, Part.SNAPSHOTS, Part.TRANSACTIONS) as found:
        steps = found.hands[0].steps
        assert steps is not None
        step = steps.run

        async def after_some_writes(orgs: Any, work: Any) -> Any:
            if not moved_on:
                moved_on.append(1)
                await ledger.commit(
                    *[ledger.event(90, 2, org=org, amount=20, at=NOON - timedelta(days=1)) for org in (1, 2)]
                )
            return await step(orgs, work)

        steps.run = after_some_writes  # type: ignore[method-assign]  # writers come in between
        await run(found, Order(frozenset({Part.SNAPSHOTS, Part.TRANSACTIONS})), "test", lambda _line: None)
    found_rows = [(row["org_id"], row["version"], row["amount_cents"]) for row in await _of_90(ledger)]
    assert found_rows == [(1, 2, 20), (2, 2, 20), (3, 1, 10)]
    assert changes(await rebuild(ledger, means, frozenset({Part.SNAPSHOTS, Part.TRANSACTIONS}), dry_run=True)) == {}


async def _of_90(ledger: Ledger) -> Sequence[asyncpg.Record]:
    return await ledger.rows(
        "SELECT org_id, version, amount_cents FROM finance.revenues_partitioned WHERE id = 90 ORDER BY org_id"
    )


async def test_nothing_is_rebuilt_from_a_store_that_was_tampered_with(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    await ledger.admin.execute(
        "UPDATE event_store.events "
        "SET event_data = convert_to(replace(convert_from(event_data, 'UTF8'), '100', '101'), 'UTF8')"
    )
    with pytest.raises(StoreDamaged, match="revenue 1 of organisation 1, version 1"):
        await rebuild(ledger, means)
    (job,) = await ledger.rows("SELECT state, last_error FROM ops.jobs")
    assert job["state"] == "failed"
    assert "content hash" in job["last_error"]


async def test_only_one_rebuilds_at_a_time(ledger: Ledger, means: Open) -> None:
    async with means(ledger):
        with pytest.raises(SettingsRefused, match="another rebuild"):
            async with means(ledger):
                pass


async def test_what_may_have_begun_in_an_archive_is_left_as_it_stands(ledger: Ledger, means: Open) -> None:
    """Who made it, and since when, is not in the store any more; what stands is the better account."""
    await ledger.commit(ledger.event(1, 1), ledger.event(2, 1))
    await ledger.commit(ledger.event(1, 2), ledger.event(2, 2))
    await ledger.admin.execute("DELETE FROM event_store.events WHERE aggregate_id = 1 AND version = 1")
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET description = 'x'")
    await ledger.admin.execute(DAMAGES["a snapshot of nothing"])
    await rebuild(ledger, means)
    rows = await ledger.rows("SELECT id, description FROM finance.revenues_partitioned ORDER BY id")
    assert [tuple(row) for row in rows] == [(1, "x"), (2, None)]
    assert await ledger.value("SELECT count(*) FROM event_store.snapshots") == 3
