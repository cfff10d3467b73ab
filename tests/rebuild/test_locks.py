"""A step of a rebuild and a writer of the same organisation take turns, whichever lane the writer's records come by."""

import asyncio
from datetime import timedelta

import pytest

from pipeline.errors import PipelineError
from pipeline.rebuild.balances import Update, mend_balances
from pipeline.rebuild.scope import Part
from pipeline.rebuild.steps import Locked
from tests.rebuild.conftest import Open
from tests.rebuild.damages import DAMAGES
from tests.support.events import NOON
from tests.support.ledger import Ledger

ORG = 1  # at home on lane 1 of two


@pytest.mark.parametrize("lane", [0, 1])
async def test_a_batch_waits_until_the_step_is_over(ledger: Ledger, means: Open, lane: int) -> None:
    await ledger.commit(ledger.event(1, amount=100))
    async with means(ledger, Part.BALANCES) as found:
        steps, inside, leave = found.steps, asyncio.Event(), asyncio.Event()
        assert steps is not None

        async def stay(_locked: Locked) -> None:
            inside.set()
            await leave.wait()

        staying = asyncio.create_task(steps.run([ORG], stay))
        await inside.wait()
        writing = asyncio.create_task(ledger.commit(ledger.event(2, amount=1, lane=lane)))
        done, _ = await asyncio.wait([writing], timeout=0.3)
        leave.set()
        await asyncio.gather(staying, writing)
        assert not done


async def test_a_day_that_a_batch_moves_meanwhile_is_right_afterwards(ledger: Ledger, means: Open) -> None:
    for _ in range(5):
        await ledger.commit(*[ledger.event(10 * day + 1, at=NOON - timedelta(days=day)) for day in range(3)])
    await ledger.admin.execute(DAMAGES["a day's movements"])
    async with means(ledger, Part.BALANCES) as found:
        assert found.steps is not None
        update = Update(found.cluster_epoch, ledger.batch(ledger.event(99)).batch_id)
        ledger.lanes[1].next -= 1
        mending = mend_balances(found.steps, [(ORG, 1)], update)
        await asyncio.gather(mending, ledger.commit(ledger.event(2, amount=5, at=NOON - timedelta(days=1))))
        assert await mend_balances(found.steps, [(ORG, 1)], update) == 0
    assert [(day[2], day[3]) for day in await ledger.days()] == [(0, 100), (100, 205), (205, 305)]


async def test_a_step_gives_up_when_lanes_were_added_meanwhile(
    ledger: Ledger, means: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.rebuild.steps._ATTEMPTS_MAX", 2)
    await ledger.commit(ledger.event(1, amount=100))
    await ledger.admin.execute(DAMAGES["a day's movements"])
    async with means(ledger, Part.BALANCES) as found:
        assert found.steps is not None
        await ledger.admin.execute("INSERT INTO ops.lanes (lane) VALUES (2)")
        update = Update(found.cluster_epoch, ledger.batch(ledger.event(2)).batch_id)
        with pytest.raises(PipelineError, match="lanes were added"):
            await mend_balances(found.steps, [(ORG, 1)], update)
    assert [day[1] for day in await ledger.days()] == [1]
