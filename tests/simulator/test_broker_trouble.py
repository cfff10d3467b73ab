"""A broker that is killed costs time, and neither a message nor the order of two."""

import asyncio
import json
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path

import pytest

from pipeline.errors import BrokerUnavailable
from pipeline.simulator.day import trading_day
from pipeline.simulator.plan import Plan
from pipeline.simulator.producing import produce_day
from pipeline.stack import Endpoints, StackConfig
from pipeline.stack.stack import up
from pipeline.stack.temporary import temporary_stack
from schemas.topics import Feed
from tests.simulator.test_sender import create_topic, records_of


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[tuple[Endpoints, StackConfig]]:
    """A stack that nobody else needs."""
    with temporary_stack(tmp_path / "stack") as endpoints:
        yield endpoints, StackConfig(tmp_path / "stack", preferred_ports={})


def kill_kafka(config: StackConfig) -> None:
    record = json.loads((config.directory / "stack.json").read_text())
    os.kill(record["parts"]["kafka"]["process"]["pid"], signal.SIGKILL)


async def test_a_killed_broker_costs_time_and_nothing_else(own_stack: tuple[Endpoints, StackConfig]) -> None:
    endpoints, config = own_stack
    bootstrap = endpoints.kafka_bootstrap
    topic = await create_topic(bootstrap)
    plan = Plan(date(2025, 11, 22), events=20_000, orgs=200, correction_share=0)
    under_way = asyncio.Event()

    def told(acknowledged: int) -> None:
        if acknowledged > 2_000:
            under_way.set()

    run = asyncio.ensure_future(produce_day(bootstrap, plan, rate=5_000, topics={Feed.EVENTS: topic}, on_progress=told))
    await under_way.wait()
    kill_kafka(config)
    await asyncio.sleep(1)
    assert not run.done()
    await asyncio.to_thread(up, config)
    produced = await run
    assert produced.acknowledged == plan.events
    arrived: defaultdict[bytes, list[bytes | None]] = defaultdict(list)
    for record in await records_of(bootstrap, topic):
        arrived[record.key].append(record.value)
    meant: defaultdict[bytes | None, list[bytes | None]] = defaultdict(list)
    for message in trading_day(plan):
        meant[message.key].append(message.value)
    assert arrived == meant


async def test_who_stops_while_the_broker_is_gone_is_told_what_is_certain(
    own_stack: tuple[Endpoints, StackConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.simulator.producing._STOPPING_SECONDS", 1.0)
    endpoints, config = own_stack
    bootstrap = endpoints.kafka_bootstrap
    topic = await create_topic(bootstrap)
    plan = Plan(date(2025, 11, 22), events=200_000, orgs=1, correction_share=0)
    stop = asyncio.Event()
    certain = 0

    def told(acknowledged: int) -> None:
        nonlocal certain
        if acknowledged > 2_000 and not certain:
            certain = acknowledged
            kill_kafka(config)
            asyncio.get_running_loop().call_later(1, stop.set)

    with pytest.raises(BrokerUnavailable, match="messages were acknowledged") as refused:
        await produce_day(bootstrap, plan, rate=20_000, topics={Feed.EVENTS: topic}, on_progress=told, stop=stop)
    acknowledged = int(str(refused.value).partition("; ")[2].split()[0])
    assert acknowledged >= certain
    await asyncio.to_thread(up, config)
    arrived = [record.value for record in await records_of(bootstrap, topic)]
    # All of what was acknowledged is there, and beyond it nothing but what would have followed.
    assert len(arrived) >= acknowledged
    assert arrived == [message.value for message in islice(trading_day(plan), len(arrived))]
