"""A CDN that a test holds in its hand: an HTTP server that notes which tags it was asked to purge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pipeline.stack.ports import HOST


class Cdn:
    """Answers with `status`; where that is 0, not at all."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.status = 200
        self.seconds = 0.0  # that it takes to answer
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, with all of its requests."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                assert lines[0] == "PURGE / HTTP/1.1"
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                self.asked.append(headers["surrogate-key"].split(" "))
                await asyncio.sleep(60 if self.status == 0 else self.seconds)
                writer.write(f"HTTP/1.1 {self.status} -\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Cdn]:
    cdn = Cdn()
    connections: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await cdn.serve(reader, writer)

    server = await asyncio.start_server(accepted, HOST, 0)
    cdn.port = server.sockets[0].getsockname()[1]
    try:
        yield cdn
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
