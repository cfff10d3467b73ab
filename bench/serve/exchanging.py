"""HTTP/1.1 over connections that stay open, as cheaply as Python can: the cores belong to what is measured."""

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import httptools

NO_ANSWER: Final = 0  # in the place of a status: the connection ended, or nothing came in time
_GOOD: Final = 2  # hundred and something
_SERVER_ERROR: Final = 500
# As clients commonly wait: a publication waits 25 s for a broker that is away, before it is refused.
_TIMEOUT_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True)
class Answers:
    """What came, in the order of the answers: when each request was due, how long after that it was answered, and how.

    Columns, because there may be a million. Instants are nanoseconds of the monotonic clock, which every process has.
    """

    due_ns: "array[int]" = field(default_factory=lambda: array("q"))
    duration_ns: "array[int]" = field(default_factory=lambda: array("q"))
    statuses: "array[int]" = field(default_factory=lambda: array("h"))
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.due_ns)

    def add(self, due_ns: int, status: int) -> None:
        self.due_ns.append(due_ns)
        self.duration_ns.append(time.monotonic_ns() - due_ns)
        self.statuses.append(status)

    @property
    def failures(self) -> int:
        """No answer, or that the server could not."""
        return sum(failed(status) for status in self.statuses)

    def refused(self, *accepted: int) -> int:
        """Answers that were neither good, nor accepted, nor the server's failure: a mistake of the benchmark."""
        return sum(status // 100 != _GOOD and status not in accepted and not failed(status) for status in self.statuses)


def failed(status: int) -> bool:
    return status == NO_ANSWER or status >= _SERVER_ERROR


class Connection(asyncio.Protocol):
    """One connection, one request at a time. `free` is called whenever it can take the next one."""

    def __init__(self, free: Callable[["Connection"], None], answers: Answers) -> None:
        self._free = free
        self._answers = answers
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._due_ns: int | None = None
        self.asked_at = 0.0

    @property
    def open(self) -> bool:
        return self._transport is not None

    def ask(self, due_ns: int, request: bytes) -> None:
        """Send it; its answer is noted when it has come."""
        assert self._transport is not None
        self._due_ns, self.asked_at = due_ns, time.monotonic()
        self._transport.write(request)

    def give_up(self, now: float) -> None:
        """Where an answer is overdue the connection is of no more use."""
        if self._due_ns is not None and now - self.asked_at > _TIMEOUT_SECONDS and self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream's; uvloop's own does not say so.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._due_ns is not None:
            self._answers.add(self._due_ns, NO_ANSWER)
            self._due_ns = None
        self._free(self)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        due_ns, self._due_ns = self._due_ns, None
        if due_ns is None:
            return
        self._answers.add(due_ns, self._parser.get_status_code())
        if self._parser.should_keep_alive():
            self._free(self)
        else:
            self.close()


class Pool:
    """So many connections to one server. One that was lost is opened again when it is needed."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self._address = (host, port)
        self._size = size
        self.answers = Answers()
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._next: Callable[[], tuple[int, bytes] | None] = lambda: None
        self._looked_at = 0.0

    async def open(self) -> None:
        """All connections. Raises OSError where nobody listens."""
        for _ in range(self._size):
            self._idle.append(await self._new())

    async def _new(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(partial(Connection, self._freed, self.answers), *self._address)
        self._all.add(connection)
        return connection

    def ask(self, due_ns: int, request: bytes) -> None:
        """By a connection that is free, else by the next one that will be."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                connection.ask(due_ns, request)
                return
        self._waiting.append((due_ns, request))
        if len(self._all) + len(self._opening) < self._size:
            self._reopen()

    def _reopen(self) -> None:
        task = asyncio.ensure_future(self._reconnect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _reconnect(self) -> None:
        """Where nobody listens, whoever waits has no answer: that is what a client is told, too."""
        try:
            connection = await self._new()
        except OSError:
            while self._waiting:
                self.answers.add(self._waiting.popleft()[0], NO_ANSWER)
        else:
            self._freed(connection)

    def _freed(self, connection: Connection) -> None:
        if not connection.open:
            self._all.discard(connection)
            if self._waiting and len(self._all) + len(self._opening) < self._size:
                self._reopen()
            return
        asked = self._waiting.popleft() if self._waiting else self._next()
        if asked is None:
            self._idle.append(connection)
        else:
            connection.ask(*asked)

    async def open_loop(self, requests: Sequence[bytes], rate: float, stop: asyncio.Event | None = None) -> Answers:
        """Request n is due at start + n / rate, whatever became of the others; its duration counts from then.

        With `stop` they begin again when they are through, until it is set.
        """
        start_ns, sent = time.monotonic_ns() + 1_000_000, 0
        while (not stop.is_set()) if stop is not None else sent < len(requests):
            due = int((time.monotonic_ns() - start_ns) * rate / 1e9) + 1
            due = max(due if stop is not None else min(due, len(requests)), sent)
            for number in range(sent, due):
                self.ask(start_ns + int(number * 1e9 / rate), requests[number % len(requests)])
            sent = due
            next_ns = start_ns + int(sent * 1e9 / rate)
            await asyncio.sleep(max(next_ns - time.monotonic_ns(), 0) / 1e9)
            self._give_up_overdue()
        await self._answered(sent)
        return self._taken(start_ns)

    async def closed_loop(self, requests: Sequence[bytes], seconds: float) -> Answers:
        """Each connection asks as soon as it was answered, for so long. Their capacity, not what anybody feels."""
        start_ns = time.monotonic_ns()
        end_ns, asked = start_ns + int(seconds * 1e9), 0

        def following() -> tuple[int, bytes] | None:
            nonlocal asked
            now_ns = time.monotonic_ns()
            if now_ns >= end_ns:
                return None
            asked += 1
            return now_ns, requests[asked % len(requests)]

        self._next = following
        for connection in [self._idle.popleft() for _ in range(len(self._idle))]:
            self._freed(connection)
        while time.monotonic_ns() < end_ns:
            await asyncio.sleep(_LOOK_SECONDS)
            self._give_up_overdue()
        await self._answered(asked)
        self._next = lambda: None
        return self._taken(start_ns)

    async def _answered(self, count: int) -> None:
        while len(self.answers) < count:
            self._give_up_overdue()
            await asyncio.sleep(0.005)

    def _give_up_overdue(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            for connection in tuple(self._all):
                connection.give_up(now)

    def _taken(self, start_ns: int) -> Answers:
        taken = Answers(
            self.answers.due_ns[:],
            self.answers.duration_ns[:],
            self.answers.statuses[:],
            (time.monotonic_ns() - start_ns) / 1e9,
        )
        for column in (self.answers.due_ns, self.answers.duration_ns, self.answers.statuses):
            del column[:]
        return taken

    def close(self) -> None:
        for connection in tuple(self._all):
            connection.close()
