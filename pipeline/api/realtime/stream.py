"""Server-sent events: the stream of one subscription over plain HTTP."""

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final

from litestar.types import Receive, Scope, Send

from pipeline.api.realtime.wire import event_of
from pipeline.realtime.messages import CloseReason
from pipeline.realtime.telling import Telling

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # proxies of that family would hold events back
)


class _Gone(Exception):
    """The client has left."""


class EventStream:
    """A response. It begins once somebody was let in, so that a refusal still has a status of its own."""

    def __init__(self, following: AbstractAsyncContextManager[Telling], write_seconds_max: float) -> None:
        self._following = following
        self._write_seconds_max = write_seconds_max

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async with self._following as telling:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            try:
                async with asyncio.TaskGroup() as tasks:
                    watch = tasks.create_task(_leaves(receive))
                    await self._write(telling, send)
                    watch.cancel()
            except* _Gone:
                pass

    async def _write(self, telling: Telling, send: Send) -> None:
        async with aclosing(telling.told()) as told:
            async for each in told:
                try:
                    async with asyncio.timeout(self._write_seconds_max):
                        await send({"type": "http.response.body", "body": event_of(each), "more_body": True})
                except TimeoutError:
                    telling.close(CloseReason.SLOW_CONSUMER)  # it comes back with the last cursor that it has read
                    return
                del each  # a page of a snapshot would stay as long as nothing happens
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _leaves(receive: Receive) -> None:
    """Raises _Gone when the client does."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _Gone
