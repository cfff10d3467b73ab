"""A client of the HTTP API in a process of its own: it asks what it is told, at a rate or as fast as it is answered."""

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Final

from bench.live.own_process import OwnProcess
from bench.serve.exchanging import Answers, Pool
from bench.serve.issuing import READER, WRITER, Issuer
from bench.serve.mixing import Place
from pipeline.loop import run_on_loop
from pipeline.stack.ports import HOST

# As many as a client of a web application keeps; all are used only where answers are late.
CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Read:
    """Balances, in this order. `rate` a second, or None: as fast as `connections` get their answers, for `seconds`."""

    places: Sequence[Place]
    rate: float | None
    seconds: float = 0.0
    connections: int = CONNECTIONS
    path: str = "balances"  # or `reports/daily`, `transactions/revenue`
    until_told: bool = False  # again and again, until `Client.enough`
    users: int = 1  # of each organisation, who ask in turn, each with a token of its own


@dataclass(frozen=True, slots=True)
class Publish:
    """Events, each in a request of its own, `rate` a second."""

    events: Sequence[tuple[bytes, bytes]]
    rate: float
    connections: int = CONNECTIONS
    until_told: bool = False  # sent again when all were sent: the stream knows repetitions


Order = Read | Publish


def serve(pipe: "Pipe", issuer: Issuer, port: int) -> None:
    """The client's process: does what it is told until it is told None. Answers with Answers, or an error."""
    run_on_loop(_serve(pipe, issuer, port))


async def _serve(pipe: "Pipe", issuer: Issuer, port: int) -> None:
    tokens: dict[str, str] = {}
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        try:
            requests = [_request(each, tokens, issuer) for each in _asked(order)]
            pipe.send(None)  # ready
            gc.freeze()
            pipe.send(await _answered(order, requests, port, pipe))
            gc.unfreeze()
        except Exception as error:  # noqa: BLE001 - whoever ordered it must hear of it
            pipe.send(error)


async def _answered(order: Order, requests: Sequence[bytes], port: int, pipe: "Pipe") -> Answers:
    pool = Pool(HOST, port, order.connections)
    await pool.open()
    try:
        if order.rate is None:
            assert isinstance(order, Read)
            return await pool.closed_loop(requests, order.seconds)
        if not order.until_told:
            return await pool.open_loop(requests, order.rate)
        stop = asyncio.Event()
        asking = asyncio.ensure_future(pool.open_loop(requests, order.rate, stop))
        await asyncio.to_thread(pipe.recv)
        stop.set()
        return await asking
    finally:
        pool.close()


def _asked(order: Order) -> list[tuple[int, str, str, bytes | None]]:
    """Organisation, user, path and body of each."""
    if isinstance(order, Publish):
        return [(int(key), _user(int(key), 0), "/v1/events", value) for key, value in order.events]
    return [
        (
            each.org_id,
            _user(each.org_id, number % order.users),
            f"/v1/orgs/{each.org_id}/properties/{each.property_id}/{order.path}/{each.day}",
            None,
        )
        for number, each in enumerate(order.places)
    ]


def _user(org_id: int, number: int) -> str:
    return f"user-{org_id}-{number}"


def _request(asked: tuple[int, str, str, bytes | None], tokens: dict[str, str], issuer: Issuer) -> bytes:
    """By a user of the organisation, who reads and publishes."""
    org_id, user, path, body = asked
    token = tokens.get(user)
    if token is None:
        token = tokens[user] = issuer.token(user, [org_id], READER, WRITER)
    return request_of(path, token, body)


def request_of(path: str, token: str, body: bytes | None = None) -> bytes:
    """As bytes on the wire."""
    length = "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n{length}\r\n"
    return head.encode() + (body or b"")


class Client(OwnProcess):
    """The process, as the scenario holds it. Use it as a context."""

    def __init__(self, issuer: Issuer, port: int) -> None:
        super().__init__(serve, issuer, port)

    async def ask(self, order: Order) -> Answers:
        """Have it done. Raises what went wrong with the client; what the server did wrong is in the answers."""
        await self.prepare(order)
        return await self.answered()

    async def prepare(self, order: Order) -> None:
        """Returns when the first request is about to be sent."""
        self._pipe.send(order)
        self._raised(await asyncio.to_thread(self._pipe.recv))

    def enough(self) -> None:
        """Of an order that goes on until told."""
        self._pipe.send(None)

    async def answered(self) -> Answers:
        answers = self._raised(await asyncio.to_thread(self._pipe.recv))
        assert isinstance(answers, Answers)
        return answers

    def _raised(self, answer: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer
