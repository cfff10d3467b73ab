"""The network between workers and one server: it can refuse, reset, hold, swallow, delay, and cut at a message.

Bytes pass through unread unless a cut is set. What each trouble has done is counted: a fault that touched nobody has
not fired.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Upstream = Path | tuple[str, int]  # a Unix socket, or host and port
Direction = Literal["to_server", "to_client"]
BOTH_WAYS: Final[frozenset[Direction]] = frozenset(("to_server", "to_client"))

_HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 1 << 16
# Closed with this, a socket sends RST instead of FIN.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


@dataclass
class Counts:
    """What a link has done to its connections since it was laid."""

    connections: int = 0
    refused: int = 0  # taken, and cut off because the server was not there
    reset: int = 0
    held: int = 0  # pieces that had to wait for the link
    swallowed_bytes: int = 0
    delayed: int = 0  # pieces
    cuts: int = 0


@dataclass
class _Cut:
    """The connection ends at the next request that matches: before the server has it, or when it answers."""

    matches: Callable[[bytes], bool]
    before: bool
    times: int


@dataclass(eq=False)
class _Wire:
    """One connection through the link."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    silent: set[Direction] = field(default_factory=set)  # nothing passes in these directions any more
    answer_is_lost: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)  # a dead connection is told that it is dead

    def reset(self) -> None:
        """RST to both ends."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                _reset(end)
        self.over.set()


class Link:
    """Listens on a port of its own, the same for as long as it is laid, and forwards to `upstream`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.upstream: Upstream | None = None
        self.counts = Counts()
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._silent: Collection[Direction] = ()  # what new connections begin with
        self._delay_seconds = 0.0
        self._cut: _Cut | None = None

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Link"]:
        await self._listen()
        try:
            yield self
        finally:
            self._refuse()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def live(self) -> int:
        """Connections that stand at this moment."""
        return len(self._wires)

    # --- troubles ---

    def reset(self) -> None:
        """Every connection is reset; new ones pass."""
        for wire in tuple(self._wires):
            wire.reset()
            self.counts.reset += 1

    def down(self) -> None:
        """Every connection is reset, and new ones are refused."""
        self._refuse()
        self.reset()

    def hold(self) -> None:
        """Nothing passes, and nothing is lost: it arrives when the link is healed."""
        self._flows.clear()

    def silence(self, directions: Collection[Direction] = BOTH_WAYS) -> None:
        """What goes these ways on the present connections is lost, and nobody is told. New connections pass."""
        for wire in self._wires:
            wire.silent.update(directions)

    def swallow_everything(self) -> None:
        """Present and new connections alike: they are taken, and nobody answers."""
        self._silent = BOTH_WAYS
        self.silence()

    def slow(self, delay_seconds: float) -> None:
        """Each piece, 64 KiB at most, takes so long."""
        self._delay_seconds = delay_seconds

    def cut_before(self, matches: Callable[[bytes], bool], times: int = 1) -> None:
        """The server never has the next request that matches; the connection is reset."""
        self._cut = _Cut(matches, before=True, times=times)

    def cut_after(self, matches: Callable[[bytes], bool], times: int = 1) -> None:
        """The server has the next request that matches, and its answer is lost; the connection is reset."""
        self._cut = _Cut(matches, before=False, times=times)

    async def heal(self) -> None:
        """Everything passes again. Connections that lost bytes are told: the next packet would meet no peer."""
        self._silent, self._delay_seconds, self._cut = (), 0.0, None
        for wire in tuple(self._wires):
            if wire.silent:
                wire.reset()
        self._flows.set()
        await self._listen()

    # --- forwarding ---

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, _HOST, self.port)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.counts.connections += 1
        try:
            await self._serve(reader, writer)
        except OSError:  # either side is gone, as may be
            pass
        except asyncio.CancelledError:  # the link is taken up; the stream's own callback would complain
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            self.counts.refused += 1
            _reset(writer)
            return
        wire = _Wire(writer, up_writer, set(self._silent))
        self._wires.add(wire)
        pumps = (
            asyncio.ensure_future(self._to_server(wire, reader)),
            asyncio.ensure_future(self._to_client(wire, up_reader)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            # That one end has gone away passes no sooner than its bytes would.
            await self._flows.wait()
            if wire.silent:
                await wire.over.wait()
        finally:
            # Before anything is awaited, which may be cancelled: no connection is left open by the way.
            self._wires.discard(wire)
            up_writer.close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        match self.upstream:
            case Path() as path:
                return await asyncio.open_unix_connection(path)
            case (host, port):
                return await asyncio.open_connection(host, port)
            case _:
                raise ConnectionRefusedError("the link leads nowhere yet")

    async def _to_server(self, wire: _Wire, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if not await self._passes(wire, "to_server", data):
                continue
            cut = self._cut
            if cut is not None and cut.times and cut.matches(data):
                cut.times -= 1
                if cut.before:
                    self.counts.cuts += 1
                    wire.reset()
                    return
                wire.answer_is_lost = True
            wire.server.write(data)
            await wire.server.drain()

    async def _to_client(self, wire: _Wire, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if wire.answer_is_lost:
                self.counts.cuts += 1
                wire.reset()
                return
            if not await self._passes(wire, "to_client", data):
                continue
            wire.client.write(data)
            await wire.client.drain()

    async def _passes(self, wire: _Wire, direction: Direction, data: bytes) -> bool:
        """Whether the piece goes on, now that it has waited as long as it had to."""
        if direction in wire.silent:
            self.counts.swallowed_bytes += len(data)
            return False
        if not self._flows.is_set():
            self.counts.held += 1
            await self._flows.wait()
        if self._delay_seconds:
            self.counts.delayed += 1
            await asyncio.sleep(self._delay_seconds)
        return True


def _reset(end: asyncio.StreamWriter) -> None:
    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    end.transport.abort()
