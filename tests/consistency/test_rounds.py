"""Which drifts a repair takes up together."""

import pytest

from pipeline.consistency import repair as repair_module
from pipeline.consistency.job import Order, run
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
