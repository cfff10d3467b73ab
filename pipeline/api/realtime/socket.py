"""A WebSocket: several subscriptions of one client, and its token, which it may renew."""

import asyncio
from contextlib import aclosing, suppress
from typing import Any, Final, NoReturn

import msgspec
from aiolimiter import AsyncLimiter
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from uvicorn.protocols.utils import ClientDisconnected

from pipeline.api.problems import Forbidden
from pipeline.api.realtime.admission import Credential, Gateway, Refused, may_follow
from pipeline.api.realtime.credentials import by_token, credential_of
from pipeline.api.realtime.socket_messages import SUBPROTOCOL, Code, Ping, Said, Subscribe, Token, Unsubscribe, decode
from pipeline.api.realtime.wire import message_of
from pipeline.api.tickets import Tickets
from pipeline.api.tokens import TokenRefused
from pipeline.errors import ReadRefused, Transient
from pipeline.realtime.messages import CloseReason
from pipeline.realtime.telling import Closed, Telling, Told

_TOKEN_SECONDS_MAX: Final = 10.0
_CLOSE_SECONDS_MAX: Final = 1.0
# What ends with one subscription concerns the client, or this process, as a whole.
_ENDS: Final = {
    CloseReason.DRAINING: (Code.RESTART, "this process is about to end: come back with your cursors"),
    CloseReason.SLOW_CONSUMER: (Code.SLOW, "it was not read fast enough: come back with your cursors"),
    CloseReason.TOKEN_EXPIRED: (Code.NO_TOKEN, "the token has expired: come back with another one"),
}


class _Ended(Exception):
    """The socket is to be closed."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Gone(Exception):
    """The client has left."""


@websocket("/v2/realtime/ws")
async def follow(
    socket: WebSocket[Any, Any, Any], gateway: NamedDependency[Gateway], tickets: NamedDependency[Tickets]
) -> None:
    """Until either side ends."""
    offered, credential = SUBPROTOCOL in socket.scope["subprotocols"], await _credential(socket, tickets)
    # Accepted in any case: a browser is told nothing of why a socket was not.
    await socket.accept(subprotocols=SUBPROTOCOL if offered else None)
    try:
        if not offered:
            _end(_Ended(Code.MALFORMED, f"offer the subprotocol {SUBPROTOCOL}"))
        if isinstance(credential, _Ended):
            _end(credential)
        else:
            await _Conversation(socket, gateway, credential).run()
    except _Ended as ended:
        await _close(socket, ended)
    except _Gone:
        pass


async def _close(socket: WebSocket[Any, Any, Any], ended: _Ended) -> None:
    """Say why, to a client that still reads."""
    with suppress(TimeoutError, ClientDisconnected):
        async with asyncio.timeout(_CLOSE_SECONDS_MAX):
            await socket.close(ended.code, str(ended))


def _end(ended: _Ended) -> NoReturn:
    raise ended


async def _credential(socket: WebSocket[Any, Any, Any], tickets: Tickets) -> Credential | _Ended | None:
    """Whose socket it is, where its head says so; or why it is nobody's."""
    try:
        return await credential_of(socket, tickets)
    except TokenRefused as error:
        return _Ended(Code.NO_TOKEN, str(error))
    except Forbidden as error:
        return _Ended(Code.FORBIDDEN, str(error))
    except Transient:
        return _Ended(Code.RESTART, "the ticket could not be looked up: ask for another one, and come back")


class _Conversation:
    """One client's socket, until it ends."""

    __slots__ = ("_credential", "_following", "_gateway", "_idle_at", "_limiter", "_next", "_said_before", "_socket")

    def __init__(self, socket: WebSocket[Any, Any, Any], gateway: Gateway, credential: Credential | None) -> None:
        self._socket = socket
        self._gateway = gateway
        self._credential = credential
        self._following: dict[str, asyncio.Task[None]] = {}
        self._limiter: AsyncLimiter | None = None
        self._said_before = False
        self._next: Any = None  # received, and not heard yet
        self._idle_from_now()

    async def run(self) -> None:
        """Raises _Ended or _Gone."""
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._identify()
                while True:
                    await self._wait()
                    await self._hear(await self._said(), tasks)
        except BaseExceptionGroup as group:
            ended, others = group.split((_Ended, _Gone))
            if others is not None or ended is None:
                raise
            raise _first(ended) from None

    async def _identify(self) -> None:
        """By the first message, unless its header has said it."""
        if self._credential is not None:
            return
        try:
            async with asyncio.timeout(_TOKEN_SECONDS_MAX):
                said = await self._said()
        except TimeoutError:
            said = Ping()
        if not isinstance(said, Token):
            raise _Ended(Code.NO_TOKEN, 'send {"type":"token","token":"..."} first')
        await self._renew(said)

    async def _wait(self) -> None:
        """Until something is said. Raises _Ended for a socket over which nothing is followed for too long.

        No cap counts it, no token is looked at for it, and no heartbeat finds out that its client has gone.
        """
        while self._next is None:
            if self._following:
                self._idle_from_now()
            elif _now() >= self._idle_at:
                raise _Ended(Code.IDLE, "nothing is followed: come back with what you want to follow")
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._idle_at):
                    self._next = await self._socket.receive()

    def _idle_from_now(self) -> None:
        self._idle_at = _now() + self._gateway.settings.socket_idle_seconds

    async def _said(self) -> Said:
        message, self._next = self._next or await self._socket.receive(), None
        if message["type"] == "websocket.disconnect":
            raise _Gone
        await self._turn()
        text: str | bytes = message.get("text") or message.get("bytes") or b""  # type: ignore[assignment]  # as received
        try:
            said: Said = decode(text)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise _Ended(Code.MALFORMED, f"not understood: {error}"[:120]) from None
        return said

    async def _turn(self) -> None:
        """Whoever says too much waits: nothing more is read from the connection meanwhile."""
        if not self._said_before:  # most sockets say one thing, and then listen
            self._said_before = True
            return
        if self._limiter is None:
            self._limiter = AsyncLimiter(self._gateway.settings.socket_messages_per_second, time_period=1)
        await self._limiter.acquire()

    async def _hear(self, said: Said, tasks: asyncio.TaskGroup) -> None:
        match said:
            case Subscribe(id=name):
                refusal = self._refusal(said)
                if refusal is not None:
                    await self._refuse(name, *refusal)
                else:
                    begun = self._following[name] = tasks.create_task(self._follow(said))
                    # Not by the task itself: one that is ended before it has begun runs nothing of its own.
                    begun.add_done_callback(lambda _: self._left(name))
            case Unsubscribe(id=name):
                task = self._following.get(name)
                if task is not None:
                    task.cancel()
                    await asyncio.wait([task])
                await self._send({"type": "closed", "id": name, "reason": CloseReason.LEFT})
            case Token():
                await self._renew(said)
            case Ping():
                await self._send({"type": "pong"})

    def _left(self, name: str) -> None:
        del self._following[name]
        self._idle_from_now()

    def _refusal(self, said: Subscribe) -> tuple[str, str] | None:
        """Why, and what to do."""
        assert self._credential is not None
        if said.id in self._following:
            return "malformed", f"the id {said.id!r} is in use: end that subscription, or take another one"
        most = self._gateway.settings.socket_subscriptions_max
        if len(self._following) >= most:
            return "too_many", f"a socket has {most} subscriptions at most: end one, or open another socket"
        if not may_follow(self._who(), said.org_id):
            return "forbidden", "the organisation takes a token that names it in `orgs`, with the role `reader`"
        return None

    def _who(self) -> Any:
        assert self._credential is not None
        try:
            return self._credential()
        except TokenRefused as error:
            raise _Ended(Code.NO_TOKEN, str(error)) from None

    async def _renew(self, said: Token) -> None:
        """Of the same user; what the new token no longer allows ends at its next step."""
        before = self._who().subject if self._credential is not None else None
        renewed = by_token(self._socket.app.state.tokens, said.token)
        try:
            principal = renewed()
        except TokenRefused as error:
            raise _Ended(Code.NO_TOKEN, str(error)) from None
        if before not in (None, principal.subject):
            raise _Ended(Code.FORBIDDEN, "the token is of another user: open another socket")
        self._credential = renewed
        await self._send({"type": "token_accepted", "expires_at": principal.expires_at})

    async def _follow(self, said: Subscribe) -> None:
        """Tell one subscription, to its end."""
        name, gateway = msgspec.json.encode(said.id), self._gateway
        try:
            wanted = gateway.wanted(said.org_id, said.properties, said.first, said.last, said.cursor)
            async with gateway.following(self._who, wanted) as telling, aclosing(telling.told()) as told:
                async for each in told:
                    await self._tell(telling, name, each)
                    del each  # a page of a snapshot would stay as long as nothing happens
        except Refused as error:
            await self._refuse(said.id, error.reason.value, str(error))
        except ReadRefused as error:
            await self._refuse(said.id, "malformed", str(error))

    async def _tell(self, telling: Telling, name: bytes, each: Told) -> None:
        try:
            await self._write(message_of(name, each))
        except TimeoutError:
            telling.close(CloseReason.SLOW_CONSUMER)
            _end(_Ended(*_ENDS[CloseReason.SLOW_CONSUMER]))
        if isinstance(each, Closed) and each.reason in _ENDS:
            raise _Ended(*_ENDS[each.reason])

    async def _refuse(self, name: str, reason: str, detail: str) -> None:
        await self._send({"type": "refused", "id": name, "reason": reason, "detail": detail})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._write(msgspec.json.encode(message))
        except TimeoutError:
            _end(_Ended(*_ENDS[CloseReason.SLOW_CONSUMER]))

    async def _write(self, message: bytes) -> None:
        """Raises TimeoutError where the client does not read, _Gone where it has left."""
        async with asyncio.timeout(self._gateway.settings.slow_seconds_max):
            try:
                await self._socket.send_data(message)
            except ClientDisconnected:
                raise _Gone from None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """What one of the tasks ended with; the others were cancelled because of it, or ended alike."""
    first: BaseException = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
