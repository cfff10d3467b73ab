"""Whoever keeps what is read hears of each update, and of every time in which none could be heard."""

import asyncio
from datetime import UTC, datetime

from pipeline.realtime.feed import Feed, Source
from schemas.topics import REALTIME_UPDATES
from schemas.updates import BalanceUpdate
from tests.realtime.test_stack import new_hub
from tests.support.events import encoded, event
from tests.support.stream import Stream
from tests.support.waiting import until

NOW = datetime.now(UTC)


class _Listener:
    def __init__(self) -> None:
        self.heard: list[str | int] = []

    def noted(self, update: BalanceUpdate) -> None:
        self.heard.append(update.org_id)

    def feed_back(self) -> None:
        self.heard.append("back")

    def feed_lost(self) -> None:
        self.heard.append("lost")


async def test_a_listener_is_told_of_each_update_and_of_the_feeds_end(stream: Stream) -> None:
    listener = _Listener()
    source = Source(stream.endpoints.kafka_bootstrap, stream.prefix + REALTIME_UPDATES, 1 << 20, 15)
    hub, metrics = new_hub(stream)
    running = asyncio.create_task(Feed(source, hub, metrics, listeners=[listener]).run())

    async def heard(wanted: list[str | int]) -> None:
        async def equal() -> bool:
            return listener.heard == wanted

        await until(equal, 20)

    await heard(["back"])
    with stream.worker() as worker:
        await stream.send([(b"7", encoded(event(1, org=7, at=NOW)))])
        await heard(["back", 7])
        await worker.stop()
    running.cancel()
    await asyncio.wait([running])
    assert listener.heard == ["back", 7, "lost"]
