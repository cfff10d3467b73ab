"""Nothing is lost on resume: connections are cut at random, gateways are restarted and killed."""

import asyncio
import random
import signal

import httpx
import pytest

from tests.api.conftest import Server, Servers
from tests.api.followers import Holder, books_of, streaming
from tests.api.issuing import Issuer
from tests.api.test_realtime import ORG, OTHER, Trade, holds_the_books, trading
from tests.support.stream import Stream

_FOLLOWERS = 20
_CUTS = 100


class Follower:
    """Comes back with its cursor, to whichever gateway there is, until it is told to stop."""

    def __init__(self, issuer: Issuer, number: int) -> None:
        self.holder = Holder(ORG if number % 2 else OTHER)
        self._headers = issuer.bearer(self.holder.org_id, sub=f"user-{number}")
        self.cut = asyncio.Event()
        self.cuts = 0

    async def run(self, gateways: "Gateways", stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.cut.clear()
            client = gateways.now.client
            try:
                async with streaming(client, self.holder, self._headers) as task:
                    await self._until_cut(task)
            except (httpx.TransportError, AssertionError) as error:
                # Only a gateway that is away, or that takes nobody yet.
                if isinstance(error, AssertionError) and "Try again" not in str(error):
                    raise
                await asyncio.sleep(0.1)

    async def _until_cut(self, task: "asyncio.Task[None]") -> None:
        waiting = asyncio.create_task(self.cut.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        self.cuts += self.cut.is_set()
        waiting.cancel()


class Gateways:
    """One at a time."""

    def __init__(self, server: Server) -> None:
        self.now = server


@pytest.mark.long
async def test_nothing_is_lost_through_a_hundred_cuts_and_gateways_that_end(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    chance = random.Random(_CUTS)
    followers = [Follower(issuer, number) for number in range(_FOLLOWERS)]
    stop = asyncio.Event()
    async with trading(stream) as trade, servers() as first, asyncio.TaskGroup() as tasks:
        gateways = Gateways(first)
        for each in followers:
            tasks.create_task(each.run(gateways, stop))
        await _disturbed(trade, chance, followers)
        async with servers() as second:
            gateways.now = second
            first.signal(signal.SIGTERM)
            await _disturbed(trade, chance, followers)
            async with servers() as third:
                gateways.now = third
                second.signal(signal.SIGKILL)
                await _disturbed(trade, chance, followers)
                await holds_the_books(stream, *(each.holder for each in followers))
                stop.set()
                for each in followers:
                    each.cut.set()
                await asyncio.sleep(0.2)
        assert await first.ended() == 0
    assert len(await books_of(stream, ORG)) == 3
    assert sum(each.cuts for each in followers) >= _CUTS
    # Each goes on where it was: a process that begins has read what was told before it.
    assert [each.holder.resyncs for each in followers] == [[]] * _FOLLOWERS
    assert [each.holder.told.count("snapshot") for each in followers] == [1] * _FOLLOWERS


async def _disturbed(trade: Trade, chance: random.Random, followers: list[Follower]) -> None:
    """A third of all cuts, while events come in; each follower is cut once it follows."""
    wanted = sum(each.cuts for each in followers) + _CUTS // 3 + 1
    while sum(each.cuts for each in followers) < wanted:
        await trade.begin(2)
        chance.choice(followers).cut.set()
        await asyncio.sleep(0.05)
    await trade.send(1)
