"""The link does to its connections what it says, counts it, and passes every byte when nothing is asked of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from pipeline.stack.ports import choose
from tests.chaos.link import Link
from tests.support.waiting import until


@dataclass
class Echo:
    """A server that answers what it hears, and remembers it."""

    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0
    lost: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(1_000):
                    self.heard += data
                    writer.write(data)
        finally:
            self.lost += 1
            writer.close()


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, question: bytes, seconds: float = 20) -> bytes:
        """What comes back within some time; empty at the end of the connection."""
        self.writer.write(question)
        return await asyncio.wait_for(self.reader.read(1_000), seconds)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest_asyncio.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    link = Link(choose("a link", None, (), ()))
    link.upstream = server.sockets[0].getsockname()[:2]
    async with link.laid():
        yield link
    server.close()

    async def over() -> bool:
        return echo.lost == echo.connections

    await until(over)
    await asyncio.sleep(0.05)  # transports close some turns of the loop after they were told to


@contextlib.asynccontextmanager
async def connected(link: Link) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def nothing(client: Client, question: bytes) -> bool:
    """Whether no answer comes."""
    try:
        await client.ask(question, seconds=0.2)
    except TimeoutError:
        return True
    return False


async def test_bytes_pass_both_ways_and_an_end_is_passed_on(link: Link, echo: Echo) -> None:
    async with connected(link) as client:
        assert await client.ask(b"one") == b"one"
        assert link.live == 1

    async def over() -> bool:
        return echo.lost == 1 and link.live == 0

    await until(over)
    assert echo.heard == b"one"


async def test_down_resets_and_refuses_and_healed_it_is_there_again(link: Link, echo: Echo) -> None:
    async with connected(link) as client:
        await client.ask(b"one")
        link.down()
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", link.port)
    assert link.counts.reset == 1
    await link.heal()
    async with connected(link) as client:
        assert await client.ask(b"two") == b"two"


async def test_a_reset_leaves_the_door_open(link: Link) -> None:
    async with connected(link) as client:
        await client.ask(b"one")
        link.reset()
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
    async with connected(link) as client:
        assert await client.ask(b"two") == b"two"


async def test_what_is_held_arrives_later_and_whole(link: Link, echo: Echo) -> None:
    async with connected(link) as client:
        await client.ask(b"one")
        link.hold()
        assert await nothing(client, b"two")
        assert echo.heard == b"one"
        assert link.counts.held == 1
        await link.heal()
        assert await client.ask(b"three") in (b"two", b"twothree")


async def test_an_end_is_held_as_bytes_are(link: Link, echo: Echo) -> None:
    async with connected(link) as client:
        await client.ask(b"one")
        link.hold()
    await asyncio.sleep(0.1)
    assert echo.lost == 0
    await link.heal()

    async def over() -> bool:
        return echo.lost == 1

    await until(over)


async def test_silence_is_of_the_present_connections_and_ends_with_a_reset(link: Link, echo: Echo) -> None:
    async with connected(link) as old:
        await old.ask(b"one")
        link.silence()
        assert await nothing(old, b"two")
        assert link.counts.swallowed_bytes == 3
        async with connected(link) as new:
            assert await new.ask(b"three") == b"three"
        await link.heal()
        with pytest.raises(ConnectionResetError):
            await old.reader.read(1)
    assert echo.heard == b"onethree"


async def test_nobody_is_told_that_the_other_end_of_a_silent_connection_is_gone(link: Link, echo: Echo) -> None:
    async with connected(link) as client:
        await client.ask(b"one")
        link.silence()
    await asyncio.sleep(0.1)
    assert (echo.lost, link.live) == (0, 1)
    await link.heal()

    async def over() -> bool:
        return (echo.lost, link.live) == (1, 0)

    await until(over)


async def test_one_way_silent(link: Link, echo: Echo) -> None:
    async with connected(link) as client:
        await client.ask(b"one")
        link.silence({"to_client"})
        assert await nothing(client, b"two")
        assert echo.heard == b"onetwo"


async def test_a_black_hole_takes_new_connections_too(link: Link, echo: Echo) -> None:
    link.swallow_everything()
    async with connected(link) as client:
        assert await nothing(client, b"one")
    assert echo.heard == b""


async def test_slow_is_slow_and_loses_nothing(link: Link) -> None:
    link.slow(0.05)
    async with connected(link) as client:
        began = time.monotonic()
        assert await client.ask(b"one") == b"one"
        assert time.monotonic() - began >= 2 * 0.05
    assert link.counts.delayed == 2


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_a_cut_is_at_the_message_and_so_many_times(link: Link, echo: Echo, before: bool) -> None:
    (link.cut_before if before else link.cut_after)(lambda data: b"COMMIT" in data, times=1)
    async with connected(link) as client:
        assert await client.ask(b"BEGIN") == b"BEGIN"
        with pytest.raises(ConnectionResetError):
            await client.ask(b"COMMIT")
    assert (b"COMMIT" in echo.heard) is not before
    assert link.counts.cuts == 1
    async with connected(link) as client:
        assert await client.ask(b"COMMIT") == b"COMMIT"


async def test_a_server_that_is_not_there_is_a_reset(link: Link) -> None:
    link.upstream = ("127.0.0.1", choose("nobody", None, (), ()))
    async with connected(link) as client:
        with pytest.raises(ConnectionResetError):
            await client.reader.read(1)
    assert link.counts.refused == 1
