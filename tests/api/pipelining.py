"""Many requests over few connections, several on their way on each: what a client library takes far longer for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httptools

from pipeline.stack.ports import HOST

_WINDOW: Final = 32
_ANSWER_SECONDS_MAX: Final = 60.0


@dataclass(slots=True)
class Answered:
    """An answer, all of it that came."""

    status: int
    heard: bytes  # head and body

    @property
    def shown(self) -> str:
        return f"{self.status} {self.heard[:600]!r}"


@dataclass(slots=True)
class _Reader:
    """What the parser calls."""

    parser: httptools.HttpResponseParser = field(init=False)
    answers: list[Answered] = field(default_factory=list)
    _parts: list[bytes] = field(default_factory=list)
    stays: bool = True

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._parts = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parts += (name, b": ", value, b"\n")

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self.answers.append(Answered(self.parser.get_status_code(), b"".join(self._parts)))
        self.stays = self.parser.should_keep_alive()


async def pipelined(port: int, requests: Sequence[bytes], connections: int = 8) -> list[Answered]:
    """The answer to each request, in their order; none of them may be to HEAD, or have an answer without an end."""
    share = -(-len(requests) // connections) or 1
    parts = [requests[at : at + share] for at in range(0, len(requests), share)]
    answers = await asyncio.gather(*(_over_one(port, part) for part in parts))
    return [answer for each in answers for answer in each]


async def _over_one(port: int, requests: Sequence[bytes]) -> list[Answered]:
    """Over a connection, and another one wherever the server has ended it: what it left unanswered is sent again."""
    answers: list[Answered] = []
    while len(answers) < len(requests):
        before = len(answers)
        await _until_it_ends(port, requests, answers)
        assert len(answers) > before, f"no answer to {requests[before]!r}"
    return answers


async def _until_it_ends(port: int, requests: Sequence[bytes], answers: list[Answered]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 20)
    try:
        heard = _Reader()
        while heard.stays and len(answers) < len(requests):
            sent = requests[len(answers) : len(answers) + _WINDOW]
            writer.write(b"".join(sent))
            if not await _answered(reader, heard, len(sent)):
                heard.stays = False
            answers += heard.answers
            heard.answers.clear()
    finally:
        writer.close()


async def _answered(reader: asyncio.StreamReader, heard: _Reader, count: int) -> bool:
    """Whether so many came before the connection ended."""
    while len(heard.answers) < count and heard.stays:
        async with asyncio.timeout(_ANSWER_SECONDS_MAX):
            data = await reader.read(1 << 18)
        if not data:
            return False
        heard.parser.feed_data(data)
    return len(heard.answers) == count
