"""Subscribers over WebSockets, thousands of them in one process of its own, each with a connection of its own."""

import asyncio
import gc
import random
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from bench.live.own_process import OwnProcess
from bench.live.schedule import turn_of
from bench.serve.frames import CLOSE, PING, PONG, TEXT, FrameReader, close_code, frame, opened, upgrade
from bench.serve.holding import Day, Holder, State, Told, decode
from bench.serve.issuing import Issuer
from pipeline.api.realtime.socket_messages import SUBPROTOCOL
from pipeline.loop import run_on_loop
from pipeline.stack.ports import HOST

_PATH: Final = "/v2/realtime/ws"
_OPENING_MAX: Final = 100  # connections that are being opened at once
_JOINED_SECONDS_MAX: Final = 240.0
_LOOK_SECONDS: Final = 0.02
# Whoever lost its connection comes back after so long, at random: a crowd that comes at once is another test.
_BACK_SECONDS: Final = (0.05, 0.5)
_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Join:
    """A subscriber for each of the organisations, of days not before `first`; those that were there leave."""

    orgs: Sequence[int]
    first: date | None


@dataclass(frozen=True, slots=True)
class Note:
    """Note from now on what comes."""


@dataclass(frozen=True, slots=True)
class Save:
    """Note no more, and write down what came."""

    path: Path


@dataclass(frozen=True, slots=True)
class Drop:
    """Have `count` connections break, spread over so many seconds; each comes back by itself."""

    count: int
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Tell:
    """What is held by everybody, and what happened so far."""


@dataclass(frozen=True, slots=True)
class Following:
    """By subscriber, in their order: the organisation and the days held. `counts`: what happened, by name."""

    held: list[tuple[int, dict[Day, State]]]
    counts: Counter[str]
    complete: int  # of the subscribers, those that are connected and have all that they asked for


@dataclass(frozen=True, slots=True)
class Joined:
    """How long it took until each of them had its snapshot, and the CPU of the clients."""

    count: int
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class Deliveries:
    """Updates that subscribers took, as they came; columns, because there may be a million.

    When (wall clock), by which subscriber, of which property and day, caused by which turn, stamped when.
    """

    columns: tuple["array[int]", ...] = field(default_factory=lambda: tuple(array("q") for _ in range(_COLUMNS)))

    def __len__(self) -> int:
        return len(self.columns[0])

    def add(self, *values: int) -> None:
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)

    def save(self, path: Path) -> None:
        path.write_bytes(msgspec.msgpack.encode([column.tobytes() for column in self.columns]))

    @classmethod
    def load(cls, path: Path) -> "Deliveries":
        found = cls()
        contents = msgspec.msgpack.decode(path.read_bytes(), type=list[bytes])
        for column, content in zip(found.columns, contents, strict=True):
            column.frombytes(content)
        return found


class _Subscriber(asyncio.Protocol):
    """One connection with one subscription. Lost, it comes back with its cursor, as long as it is wanted."""

    __slots__ = ("_accept", "_head", "_reader", "_transport", "crowd", "holder", "number", "org_id", "token")

    def __init__(self, crowd: "_Crowd", number: int, org_id: int, token: str) -> None:
        self.crowd = crowd
        self.number = number
        self.org_id = org_id
        self.token = token
        self.holder = Holder()
        self._transport: asyncio.Transport | None = None
        self._head: bytes | None = b""
        self._accept = b""
        self._reader = FrameReader()

    @property
    def complete(self) -> bool:
        return self._transport is not None and self._head is None and self.holder.complete

    def break_off(self) -> None:
        """As a network does: without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's; uvloop's own does not say so.
        self._transport = cast("asyncio.Transport", transport)
        self._head, self._reader = b"", FrameReader()
        self.holder.complete = False
        request, self._accept = upgrade(HOST, _PATH, SUBPROTOCOL, self.token)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        at_ns = time.time_ns()
        if self._head is not None:
            rest = self._opened(data)
            if rest is None:
                return
            data = rest
        for opcode, payload in self._reader.feed(data):
            if opcode == TEXT:
                self._hear(decode(payload), at_ns)
            elif opcode == PING:
                self._send(frame(payload, PONG))
            elif opcode == CLOSE:
                self.crowd.counts[f"close {close_code(payload)}"] += 1
                self.break_off()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self.crowd.lost(self)

    def _opened(self, data: bytes) -> bytes | None:
        """What came behind the head, once it is whole."""
        assert self._head is not None
        head, end, rest = (self._head + data).partition(b"\r\n\r\n")
        if not end:
            self._head = head
            return None
        if not opened(head, self._accept):
            self.crowd.counts[f"not opened: {head.split(b' ', 2)[1].decode()}"] += 1
            self.break_off()
            return None
        self._head = None
        self.holder.begin()
        self._send(frame(self.crowd.subscription(self.org_id, self.holder.cursor)))
        return rest

    def _hear(self, told: Told, at_ns: int) -> None:
        taken = self.holder.hear(told, self.crowd.counts)
        if told.type == "refused":
            self.break_off()
        if taken is None or self.crowd.noted is None:
            return
        turn = turn_of(taken.event_id) if taken.event_id is not None else -1
        changed_at_ns = int(taken.changed_at.timestamp() * 1e6) * 1_000 if taken.changed_at is not None else 0
        day = taken.balance_date.toordinal()
        self.crowd.noted.add(at_ns, self.number, taken.property_id, day, turn, changed_at_ns)

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class _Crowd:
    """All subscribers of the process."""

    def __init__(self, issuer: Issuer, port: int) -> None:
        self._issuer = issuer
        self._port = port
        self._first: date | None = None
        self._subscribers: list[_Subscriber] = []
        self._opening = asyncio.Semaphore(_OPENING_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        self.noted: Deliveries | None = None

    async def do(self, order: Any) -> object:
        match order:
            case Join():
                return await self._join(order)
            case Note():
                self.noted = Deliveries()
            case Save(path):
                assert self.noted is not None
                self.noted.save(path)
                self.noted = None
            case Drop(count, seconds, seed):
                self._keep(self._drop(count, seconds, seed))
            case Tell():
                held = [(each.org_id, each.holder.held) for each in self._subscribers]
                return Following(held, self.counts, sum(each.complete for each in self._subscribers))
        return None

    def subscription(self, org_id: int, cursor: str | None) -> bytes:
        said: dict[str, object] = {"type": "subscribe", "id": "a", "org_id": org_id}
        if self._first is not None:
            said["first"] = self._first
        if cursor is not None:
            said["cursor"] = cursor
        return msgspec.json.encode(said)

    def lost(self, subscriber: _Subscriber) -> None:
        """It comes back, unless it was sent away."""
        if subscriber.number < len(self._subscribers) and self._subscribers[subscriber.number] is subscriber:
            self.counts["connections lost"] += 1
            self._keep(self._back(subscriber))

    async def _join(self, order: Join) -> Joined:
        before, self._subscribers = self._subscribers, []
        for each in before:
            each.break_off()
        self._first = order.first
        began, cpu = time.monotonic(), time.process_time()
        # Users of ten connections at most, as the product has them.
        tokens = {org_id: self._issuer.token(f"user-{org_id}", [org_id]) for org_id in set(order.orgs)}
        self._subscribers = [_Subscriber(self, n, org_id, tokens[org_id]) for n, org_id in enumerate(order.orgs)]
        gc.freeze()
        for each in self._subscribers:
            self._keep(self._connect(each))
        async with asyncio.timeout(_JOINED_SECONDS_MAX):
            while not all(each.complete for each in self._subscribers):
                await asyncio.sleep(_LOOK_SECONDS)
        return Joined(len(self._subscribers), time.monotonic() - began, time.process_time() - cpu)

    async def _connect(self, subscriber: _Subscriber) -> None:
        """Holds its turn until the snapshot is there: no more than so many ask at once."""
        async with self._opening:
            try:
                await asyncio.get_running_loop().create_connection(partial(_same, subscriber), HOST, self._port)
            except OSError:
                self.counts["connections refused"] += 1
                self._keep(self._back(subscriber))
                return
            deadline = time.monotonic() + _BACK_SECONDS[1]
            while not subscriber.complete and time.monotonic() < deadline:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _back(self, subscriber: _Subscriber) -> None:
        await asyncio.sleep(random.uniform(*_BACK_SECONDS))  # noqa: S311 - no secret
        await self._connect(subscriber)

    async def _drop(self, count: int, seconds: float, seed: int) -> None:
        choice = random.Random(seed)  # noqa: S311 - reproducible, not secret
        for _ in range(count):
            choice.choice(self._subscribers).break_off()
            self.counts["connections broken off"] += 1
            await asyncio.sleep(seconds / count)

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _same(subscriber: _Subscriber) -> _Subscriber:
    return subscriber


def serve(pipe: "Pipe", issuer: Issuer, port: int) -> None:
    """The subscribers' process: does what it is told until it is told None. Answers each order, or with an error."""
    run_on_loop(_serve(pipe, issuer, port))


async def _serve(pipe: "Pipe", issuer: Issuer, port: int) -> None:
    crowd = _Crowd(issuer, port)
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        try:
            pipe.send(await crowd.do(order))
        except Exception as error:  # noqa: BLE001 - whoever ordered it must hear of it
            pipe.send(error)


class Followers(OwnProcess):
    """The process, as the scenario holds it. Use it as a context."""

    def __init__(self, issuer: Issuer, port: int) -> None:
        super().__init__(serve, issuer, port)

    async def join(self, orgs: Sequence[int], first: date | None) -> Joined:
        """Returns when each has its snapshot. Raises TimeoutError."""
        joined = await self._told(Join(orgs, first))
        assert isinstance(joined, Joined)
        return joined

    async def note(self) -> None:
        await self._told(Note())

    async def noted(self, path: Path) -> Deliveries:
        """What was taken since `note`."""
        await self._told(Save(path))
        return await asyncio.to_thread(Deliveries.load, path)

    async def drop(self, count: int, seconds: float, seed: int) -> None:
        """Begins; it goes on by itself."""
        await self._told(Drop(count, seconds, seed))

    async def following(self) -> Following:
        found = await self._told(Tell())
        assert isinstance(found, Following)
        return found

    async def _told(self, order: object) -> object:
        self._pipe.send(order)
        answer = await asyncio.to_thread(self._pipe.recv)
        if isinstance(answer, Exception):
            raise answer
        return answer
