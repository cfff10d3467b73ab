"""A wire between a worker and PostgreSQL that can be cut right around a COMMIT, or go dead at a given statement."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

_COMMIT = b"COMMIT\x00"


class Wire:
    """Forwards bytes both ways. Each cut happens once, at the next COMMIT."""

    def __init__(self, database_url: str) -> None:
        self._upstream = urlsplit(database_url)
        self._cut_before = False
        self._cut_after = False
        self._dies_at: bytes | None = None
        self._resets = False
        self._lives = 0
        self.url = ""
        self.cuts = 0

    def cut_before_commit(self) -> None:
        """PostgreSQL never hears the next COMMIT."""
        self._cut_before = True

    def cut_after_commit(self) -> None:
        """PostgreSQL commits, and its answer is lost."""
        self._cut_after = True

    def reset_at(self, statement: bytes) -> None:
        """The connection is cut when it carries these bytes for the first time."""
        self._dies_at, self._resets, self._lives = statement, True, 1

    def fall_silent_at(self, statement: bytes, connections: int = 1) -> None:
        """Neither side hears of the other from these bytes on, and neither is told: half-open links."""
        self._dies_at, self._resets, self._lives = statement, False, connections

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user, database = self._upstream.username, self._upstream.path
        self.url = f"postgresql://{user}@127.0.0.1:{port}{database}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = parse_qs(self._upstream.query)
        up_reader, up_writer = await asyncio.open_unix_connection(f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}")
        lost, silent = asyncio.Event(), asyncio.Event()
        pumps = [
            asyncio.ensure_future(self._to_server(reader, up_writer, lost, silent)),
            asyncio.ensure_future(self._to_client(up_reader, writer, lost, silent)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for end in (writer, up_writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _to_server(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, lost: asyncio.Event, silent: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            if self._dies_at is not None and self._lives and self._dies_at in data:
                self._lives -= 1
                self.cuts += 1
                if self._resets:
                    return
                silent.set()
            if silent.is_set():
                continue
            if _COMMIT in data and self._cut_before:
                self._cut_before = False
                self.cuts += 1
                return
            if _COMMIT in data and self._cut_after:
                self._cut_after = False
                lost.set()
            server.write(data)
            await server.drain()

    async def _to_client(
        self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, silent: asyncio.Event
    ) -> None:
        while data := await server.read(1 << 16):
            if lost.is_set():
                self.cuts += 1
                return
            if silent.is_set():
                continue
            writer.write(data)
            await writer.drain()
