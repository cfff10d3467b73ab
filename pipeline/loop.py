"""The event loop of commands: uvloop, with one answer changed into the one that clients of servers expect."""

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, on this loop."""
    return uvloop.run(main, loop_factory=Loop)


class Loop(uvloop.Loop):
    """Writing to a connection that was closed raises ConnectionResetError here, where uvloop raises RuntimeError.

    Clients expect an OSError, or nothing, as asyncio's own loop has it. To a RuntimeError no client has an answer: the
    task that keeps aiokafka's metadata ended over it, and its producer then waited for ever.

    A protocol is still told of the bare transport (asyncpg writes to that one), and so is a connection by a Unix
    socket: what comes of those, `pipeline.translate.lost_answers` translates where it enters.
    """

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **options)
        return _Connection(transport), protocol

    async def start_tls(self, transport: Any, *args: Any, **options: Any) -> Any:
        bare = transport.bare if isinstance(transport, _Connection) else transport
        return _Connection(await super().start_tls(bare, *args, **options))


class _Connection:
    """A transport of uvloop."""

    __slots__ = ("bare",)

    def __init__(self, bare: Any) -> None:
        self.bare = bare

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)

    def write(self, data: bytes) -> None:
        try:
            self.bare.write(data)
        except RuntimeError as error:
            raise self._reset(error) from error

    def writelines(self, parts: Iterable[bytes]) -> None:
        try:
            self.bare.writelines(parts)
        except RuntimeError as error:
            raise self._reset(error) from error

    def _reset(self, error: RuntimeError) -> Exception:
        return ConnectionResetError(str(error)) if self.bare.is_closing() else error
