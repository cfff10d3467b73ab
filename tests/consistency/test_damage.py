"""Damage that a check may not take for something else: what it cannot judge it names, and leaves as it is."""

from datetime import timedelta
from typing import Any

import pytest

from pipeline.consistency import looking
from pipeline.consistency import repair as repair_module
from pipeline.consistency.corrections import Repairing
from pipeline.consistency.job import Order, run
from pipeline.consistency.opening import BOOKS
from pipeline.consistency.recording import open_drifts
from pipeline.rebuild.opening import means_of as means_of_rebuild
from pipeline.settings import Settings
from tests.consistency.conftest import Open
from tests.consistency.test_checking import EVERY_BYTE, FULL, check, found, three_days
from tests.support.events import NOON
from tests.support.ledger import Ledger

_A_LOST_PROPERTY = (
    "WITH zones AS (DELETE FROM finance.property_time_zones WHERE org_id = 1) "
    "DELETE FROM finance.properties WHERE org_id = 1"
)


async def _repaired(ledger: Ledger, means: Open, order: Order) -> repair_module.Repaired:
    """Check and repair; no day may have drifted alone, for there is nobody to send a correction to."""
    ledger.clock.pass_seconds(1)
    async with means(ledger) as opened:
        job_id, progress = await run(opened, order, "test", lambda _line: None)
        rebuilding = means_of_rebuild(Settings(), ledger.url, BOOKS, ledger.clock, opened.reach)
        async with rebuilding as rebuild:
            producer: Any = None
            tools = repair_module.Tools(rebuild, producer, "")
            repairing = Repairing(job_id, progress.began_at, 1)
            return await repair_module.repair(opened, tools, repairing, "test", lambda _line: None)


async def _books(ledger: Ledger) -> list[tuple[Any, ...]]:
    rows = await ledger.rows(
        "SELECT 'snapshot' AS what, org_id, aggregate_id AS id, amount_cents FROM event_store.snapshots UNION ALL "
        "SELECT 'revenue', org_id, id, amount_cents FROM finance.revenues_partitioned UNION ALL "
        "SELECT 'expense', org_id, id, amount_cents FROM finance.expenses_partitioned ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("order", [FULL, EVERY_BYTE, Order(org=1)])
async def test_an_organisation_whose_property_is_lost_is_named_and_loses_nothing(
    ledger: Ledger, means: Open, order: Order
) -> None:
    await three_days(ledger)
    before = await _books(ledger)
    await ledger.admin.execute(_A_LOST_PROPERTY)
    done = await _repaired(ledger, means, order)
    assert await _books(ledger) == before
    assert (done.rebuilt, done.recomputed) == ({}, 0)
    kinds = [drift.kind for drift in await open_drifts(ledger.admin, 0, 100)]
    assert kinds.count("event") == 4


async def test_a_lost_property_settles_no_drift(ledger: Ledger, means: Open) -> None:
    await three_days(ledger)
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 3 WHERE (org_id, id) = (1, 1)")
    assert list(await found(ledger, means)) == [("transaction", "revenue 1")]
    await ledger.admin.execute(_A_LOST_PROPERTY)
    for order in (FULL, EVERY_BYTE):
        assert ("event", "revenue 1") in await found(ledger, means, order)


@pytest.mark.parametrize("change", ["property_id = 77", "version = 7", "org_id = 2", "aggregate_id = 77"])
async def test_an_event_whose_columns_are_not_what_its_bytes_say_is_named(
    ledger: Ledger, means: Open, change: str
) -> None:
    await three_days(ledger)
    await ledger.admin.execute(
        f"UPDATE event_store.events SET {change} WHERE (org_id, aggregate_id, version) = (1, 1, 2)"
    )
    for order in (FULL, EVERY_BYTE):
        assert "event" in {kind for kind, _ in await found(ledger, means, order)}


async def test_after_a_check_that_was_cut_short_everything_is_looked_at(ledger: Ledger, means: Open) -> None:
    await ledger.commit(*(ledger.event(1, org=org, amount=100) for org in (1, 2, 3)))
    assert (await check(ledger, means)).whole
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 900 WHERE org_id > 1")
    assert not (await check(ledger, means, drifts_max=1)).whole
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 100 WHERE org_id = 2")
    assert list(await found(ledger, means, Order())) == [("transaction", "revenue 1")]
    (drift,) = await open_drifts(ledger.admin, 0, 10)
    assert drift.org_id == 3


async def test_some_organisations_at_a_time_are_as_good_as_all(
    ledger: Ledger, means: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_ORGS_AT_A_TIME", 2)
    await ledger.commit(*(ledger.event(1, org=org, amount=100) for org in range(1, 8)))
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 900")
    assert not (await check(ledger, means, drifts_max=3)).whole
    assert len(await open_drifts(ledger.admin, 0, 10)) == 3
    ledger.clock.pass_seconds(1)
    assert (await check(ledger, means, drifts_max=7)).drifts == {"transaction": 7}


async def test_what_only_the_store_tells_is_found(ledger: Ledger, means: Open) -> None:
    await ledger.commit(*(ledger.event(1, org=org, amount=100) for org in range(1, 30)))
    assert await found(ledger, means) == {}
    # By no row and no day: these have left, and only the store tells.
    await ledger.admin.execute("DELETE FROM finance.revenues_partitioned")
    await ledger.admin.execute("UPDATE ops.lanes SET transactions_since = now() + interval '1 year'")
    await ledger.admin.execute("UPDATE event_store.snapshots SET content_hash = '\\x00'")
    await found(ledger, means)
    assert {drift.org_id for drift in await open_drifts(ledger.admin, 0, 100)} == set(range(1, 30))


async def test_amounts_beyond_all_bounds_end_no_check(ledger: Ledger, means: Open) -> None:
    await three_days(ledger)
    await ledger.commit(ledger.event(9, at=NOON - timedelta(days=1), amount=5))
    await ledger.admin.execute(
        "UPDATE event_store.events SET event_data = set_byte(event_data, 5, 0) WHERE (org_id, aggregate_id) = (1, 1)"
    )
    most = 2**63 - 1
    await ledger.admin.execute(
        f"UPDATE event_store.snapshots SET amount_cents = {most}, contribution_cents = {most} "
        "WHERE (org_id, aggregate_id) = (1, 1)"
    )
    assert ("event", "revenue 1") in await found(ledger, means)


async def test_what_left_while_fewer_months_were_kept_is_not_missing(ledger: Ledger, means: Open) -> None:
    await ledger.commit(ledger.event(1, at=NOON - timedelta(days=400), amount=100), ledger.event(2, amount=5))
    await ledger.admin.execute("DELETE FROM finance.revenues_partitioned WHERE id = 1")
    assert list(await found(ledger, means)) == [("transaction", "revenue 1")]
    await ledger.admin.execute(
        f"UPDATE ops.lanes SET transactions_since = '{(NOON - timedelta(days=365)).isoformat()}'"
    )
    assert await found(ledger, means) == {}
    assert (await _repaired(ledger, means, FULL)).rebuilt == {}
