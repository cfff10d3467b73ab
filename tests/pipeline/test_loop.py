"""Clients of servers live through a connection that is closed at the moment of a write."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from aiokafka import AIOKafkaProducer

from pipeline.loop import run_on_loop
from pipeline.stack import Endpoints
from tests.conftest import MakeStream

Write = Callable[[asyncio.StreamWriter], None]
WAYS = pytest.mark.parametrize(
    "write", [lambda writer: writer.write(b"late"), lambda writer: writer.writelines([b"too", b"late"])]
)


async def write_too_late(write: Write) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await asyncio.sleep(0.05)
        write(writer)


@WAYS
def test_a_write_to_a_connection_that_was_just_closed_is_a_connection_that_was_reset(write: Write) -> None:
    with pytest.raises(ConnectionResetError, match="closed"):
        run_on_loop(write_too_late(write))


@WAYS
def test_uvloop_itself_still_says_so_in_another_way(write: Write) -> None:
    """Or else this module is needed no more."""
    with pytest.raises(RuntimeError, match="the handler is closed"):
        uvloop.run(write_too_late(write))


def test_what_a_wrong_caller_hears_is_what_it_was() -> None:
    async def write() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            with pytest.raises(TypeError):
                writer.write("text")  # type: ignore[arg-type]  # what a wrong caller does
            writer.write_eof()
            with pytest.raises(RuntimeError, match="Cannot call write"):
                writer.write(b"after the end")
            writer.close()

    run_on_loop(write())


async def test_a_producer_lives_through_connections_that_end_before_it_hears_of_it(
    stack: Endpoints, make_stream: MakeStream
) -> None:
    """The client asks for metadata over one: without this, its keeper of metadata ended, and nothing was sent again."""
    stream = await make_stream()

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, enable_idempotence=True)
        await producer.start()
        for connection in tuple(producer.client._conns.values()):
            connection._reader.feed_eof = lambda: None  # as after a reset: its reader is told a moment later
            connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(20):
            await producer.client.force_metadata_update()
            await producer.send_and_wait(stream.topic, b"x")
        await producer.stop()

    await asyncio.to_thread(run_on_loop, send())
