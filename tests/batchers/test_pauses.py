"""Pausing an organisation: from exactly where every lane stands, whatever is on its way into the books."""

import asyncio

import asyncpg
import pytest

from pipeline.errors import SettingsRefused
from pipeline.pauses import open_pauses, pause_org, resume_org
from schemas.routing import home_lane
from tests.support.ledger import Ledger

HOME = home_lane(1, 2)
AWAY = 1 - HOME


async def positions(ledger: Ledger, end: str) -> dict[int, int]:
    rows = await ledger.rows(f"SELECT lane, finance_{end} FROM ops.org_pause_positions")
    return {row["lane"]: row[1] for row in rows}


@pytest.mark.parametrize("lane", [HOME, AWAY])
async def test_a_pause_begins_behind_the_batch_that_is_on_its_way(ledger: Ledger, lane: int) -> None:
    writer, operator = await asyncpg.connect(ledger.url), await asyncpg.connect(ledger.url)
    try:
        async with writer.transaction():
            await writer.execute("UPDATE ops.lanes SET finance_position = 77 WHERE lane = $1", lane)
            pausing = asyncio.create_task(pause_org(operator, 1, "me", "a look at it"))
            await asyncio.sleep(0.2)
            assert not pausing.done()
        await pausing
        assert await positions(ledger, "from") == {lane: 77, 1 - lane: 0}
    finally:
        await writer.close()
        await operator.close()


async def test_only_the_home_lane_of_the_organisation_counts_it(ledger: Ledger) -> None:
    operator = await asyncpg.connect(ledger.url)
    try:
        await pause_org(operator, 1, "me", "a look at it")
        with pytest.raises(SettingsRefused, match="paused already"):
            await pause_org(operator, 1, "me", "again")
        counted = await ledger.rows("SELECT lane, paused_orgs FROM ops.lanes ORDER BY lane")
        assert {row["lane"]: row["paused_orgs"] for row in counted} == {HOME: 1, AWAY: 0}
        assert [(pause.org_id, pause.paused_by) for pause in await open_pauses(operator)] == [(1, "me")]

        committed = await ledger.commit(ledger.event(1), ledger.event(1, lane=AWAY), ledger.event(1, org=2))
        assert {outcome.value: count for outcome, count in committed.outcomes.items() if count} == {
            "applied": 1,
            "quarantined": 2,
        }
        await resume_org(operator, 1, "me")
        stands = {lane: (await ledger.lane(lane))["finance_position"] for lane in (HOME, AWAY)}
        assert await positions(ledger, "to") == stands
        assert await open_pauses(operator) == []
        committed = await ledger.commit(ledger.event(1))
        assert sum(committed.outcomes.values()) == 1
        assert sorted(await ledger.dead_letters()) == [(0, 0, "org_paused"), (1, 0, "org_paused")]
    finally:
        await operator.close()
