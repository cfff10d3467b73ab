"""A producer is made anew: nobody may wait for the former one."""

import asyncio

from pipeline.api.sending import Sender
from pipeline.clock import SystemClock
from pipeline.errors import BrokerUnavailable
from schemas.topics import FINANCE_EVENTS
from tests.support.stream import Stream
from tests.support.waiting import until


async def test_who_waits_for_a_producer_that_is_given_up_is_told_so(stream: Stream) -> None:
    sender = Sender(stream.endpoints.kafka_bootstrap, SystemClock())
    running = asyncio.create_task(sender.run())
    topic = stream.prefix + FINANCE_EVENTS
    await until(lambda: answers(sender), 20)
    await sender.send(topic, [(b"1", b"first")])
    waits = asyncio.create_task(sender.send(topic, [(b"1", b"%d" % number) for number in range(50)]))
    await asyncio.sleep(0)  # it has handed its records to the client
    running.cancel()  # which is abandoned then, as one that has died is
    await asyncio.wait([running])
    done, _ = await asyncio.wait([waits], timeout=5)
    assert done, "it would wait for ever, and hold one of the few places in front of the broker"
    assert isinstance(waits.exception(), BrokerUnavailable)


async def answers(sender: Sender) -> bool:
    try:
        await sender.ask_broker()
    except BrokerUnavailable:
        return False
    return True
