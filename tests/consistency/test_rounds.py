"""Which drifts a repair takes up together, and which organisation holds nobody up."""

from typing import Any

import pytest

from pipeline.consistency import repair as repair_module
from pipeline.consistency.corrections import Repairing
from pipeline.consistency.job import Order, run
from pipeline.consistency.opening import BOOKS
from pipeline.rebuild.opening import means_of as means_of_rebuild
from pipeline.settings import Settings
from tests.consistency.conftest import Open
from tests.support.ledger import Ledger


async def test_no_drift_of_an_organisation_is_left_behind_a_full_page(
    ledger: Ledger, means: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for org in (1, 2):
        await ledger.commit(*(ledger.event(number, org=org, amount=100) for number in (1, 2, 3)))
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 900")
    monkeypatch.setattr(repair_module, "DRIFTS_A_ROUND", 4)
    async with means(ledger) as found:
        ledger.clock.pass_seconds(1)
        await run(found, Order(full=True), "test", lambda _line: None)
        rounds = [[drift.org_id for drift in drifts] async for drifts in repair_module._rounds(found)]
    assert rounds == [[1, 1, 1], [2, 2, 2]]


async def test_an_organisation_with_a_damaged_event_is_left_and_its_neighbours_are_mended(
    ledger: Ledger, means: Open
) -> None:
    for org in (1, 2, 3):
        await ledger.commit(ledger.event(1, org=org, amount=100), ledger.event(2, org=org, amount=100))
    await ledger.admin.execute("UPDATE finance.revenues_partitioned SET amount_cents = 900 WHERE id = 2")
    # Of another event: a close look at the organisation meets it.
    await ledger.admin.execute(
        "UPDATE event_store.events SET event_data = set_byte(event_data, 5, 0) WHERE (org_id, aggregate_id) = (2, 1)"
    )
    told: list[str] = []
    async with means(ledger) as found:
        ledger.clock.pass_seconds(1)
        job_id, progress = await run(found, Order(full=True), "test", told.append)
        reach = found.reach
        async with means_of_rebuild(Settings(), ledger.url, BOOKS, ledger.clock, reach) as rebuilding:
            producer: Any = None  # no day has drifted: nothing is sent
            tools = repair_module.Tools(rebuilding, producer, "")
            repairing = Repairing(job_id, progress.began_at, 1)
            done = await repair_module.repair(found, tools, repairing, "test", told.append)
    wrong = await ledger.rows("SELECT org_id FROM finance.revenues_partitioned WHERE amount_cents = 900")
    assert [row["org_id"] for row in wrong] == [2]
    assert done.left == 2
    assert any("organisation 2 is left as it is" in line and "revenue 1" in line for line in told)
