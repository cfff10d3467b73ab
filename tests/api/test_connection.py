"""Nobody holds a connection by sending slowly, or too much: over raw sockets, as whoever means harm would."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from pipeline.api.connection import HEAD_BYTES_MAX
from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.api.test_limiting import samples

BOUNDS = {"API_HEAD_SECONDS": "0.6", "API_BODY_SECONDS": "0.6", "API_BODY_BYTES_MAX": "4096"}
_NEVER: Final = b"\0never\0"
GET: Final = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


class Raw:
    """A connection of which each byte is ours."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._told = b""

    @classmethod
    @asynccontextmanager
    async def to(cls, client: httpx.AsyncClient) -> "AsyncIterator[Raw]":
        place = urlsplit(str(client.base_url))
        with socket.socket() as connection:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, (place.hostname, place.port))
            yield cls(connection)

    async def send(self, *pieces: bytes, pause: float = 0.0) -> bool:
        """False where the server has ended the connection meanwhile."""
        for piece in pieces:
            try:
                await asyncio.get_running_loop().sock_sendall(self._connection, piece)
            except OSError:
                return False
            await asyncio.sleep(pause)
        return True

    async def until(self, text: bytes, seconds: float = 5) -> bytes:
        """What has come, up to this text; all of it where the server ends the connection before."""
        async with asyncio.timeout(seconds):
            while text not in self._told and (piece := await self._more()):
                self._told += piece
        before, found, self._told = self._told.partition(text)
        return before + found

    async def head(self) -> bytes:
        """The next answer's status line and headers."""
        return await self.until(b"\r\n\r\n")

    async def rest(self, seconds: float = 5) -> bytes:
        """All that comes until the server ends the connection. Raises TimeoutError."""
        return await self.until(_NEVER, seconds)

    async def _more(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._connection, 65_536)
        except ConnectionResetError:
            return b""


def post(issuer: Issuer, *headers: str) -> bytes:
    lines = ["POST /v1/events HTTP/1.1", "host: x", f"authorization: {writer(issuer)['Authorization']}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def writer(issuer: Issuer) -> dict[str, str]:
    return issuer.bearer(1, roles=["writer"])


def problem(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    told: dict[str, object] = json.loads(body)
    return told


async def test_a_head_that_trickles_is_ended(served: Served, issuer: Issuer) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        began = time.monotonic()
        await raw.send(*(bytes([byte]) for byte in GET[:-2] * 9), pause=0.05)
        assert time.monotonic() - began < 3
        assert problem(await raw.rest())["status"] == 408
        assert (await samples(client, issuer))['folio_api_refused_total{reason="slow"}'] == 1


async def test_who_says_nothing_is_ended_without_a_word(served: Served) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        began = time.monotonic()
        assert await raw.rest() == b""
        assert 0.5 < time.monotonic() - began < 3


async def test_between_two_requests_a_connection_may_idle(served: Served) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        for _ in range(3):
            await raw.send(GET)
            assert b" 200 " in await raw.head()
            await asyncio.sleep(0.9)
        await raw.send(GET[:20])
        assert b" 408 " in await raw.rest(), "but not in the middle of one"


@pytest.mark.parametrize("length", ["content-length: 4000", "transfer-encoding: chunked"])
async def test_a_body_that_trickles_is_ended(served: Served, issuer: Issuer, length: str) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        began = time.monotonic()
        await raw.send(post(issuer, length))
        await raw.send(*([b"1\r\n \r\n" if "chunked" in length else b" "] * 100), pause=0.05)
        assert time.monotonic() - began < 3
        assert problem(await raw.rest())["status"] == 408
        assert (await samples(client, issuer))['folio_api_refused_total{reason="slow"}'] == 1


async def test_a_slow_line_that_goes_on_is_no_reason(served: Served, issuer: Issuer) -> None:
    """60 KiB/s: three times as long as the bound, and never standing still."""
    async with served(**(BOUNDS | {"API_BODY_BYTES_MAX": "200000"})) as client, Raw.to(client) as raw:
        await raw.send(post(issuer, "content-length: 120000", "connection: close"))
        assert await raw.send(*([b" " * 3_000] * 40), pause=0.05)
        assert b" 422 " in await raw.rest(), "it was read to its end: no event"


async def test_a_head_beyond_the_bound_is_refused(served: Served) -> None:
    async with served() as client, Raw.to(client) as raw:
        await raw.send(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-filler: ")
        await raw.send(*([b"a" * 8_192] * (HEAD_BYTES_MAX // 8_192 + 40)))
        assert problem(await raw.rest())["status"] == 431


async def test_what_is_no_request_is_told_so(served: Served) -> None:
    async with served() as client, Raw.to(client) as raw:
        await raw.send(b"hello, is anybody there?\r\n\r\n")
        assert problem(await raw.rest())["status"] == 400


async def test_a_body_that_is_announced_too_large_is_answered_before_it_comes(served: Served, issuer: Issuer) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        began = time.monotonic()
        await raw.send(post(issuer, "content-length: 33554433"))
        assert b" 413 " in await raw.head()
        assert time.monotonic() - began < 0.5
        assert b"4,096 bytes at most" in await raw.rest(), "and the connection does not wait for it"
        assert (await samples(client, issuer))['folio_api_refused_total{reason="too_large"}'] == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_of_a_body_that_is_too_large_not_all_is_read(served: Served, issuer: Issuer, chunked: bool) -> None:
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n" if chunked else b" " * 0x10000
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        await raw.send(post(issuer, "transfer-encoding: chunked" if chunked else "content-length: 1000000000"))
        sent = 0
        while sent < 600 and await raw.send(piece):
            sent += 1
        assert sent < 600, "40 MB were taken"
        assert (await client.get("/livez")).status_code == 200
        assert (await samples(client, issuer))['folio_api_refused_total{reason="too_large"}'] == 1


@pytest.mark.parametrize(
    ("begins", "piece"),
    [
        (b"0\r\n", b"x-trailer: " + b"y" * 1_000 + b"\r\n"),
        (b"0\r\nx-trailer: ", b"y" * 1_000),
        (b"1;ext=", b"y" * 1_000),
        (b"0\r\n", b"a: b\r\n" * 100),
    ],
    ids=["trailers", "one trailer without an end", "an extension without an end", "many small trailers"],
)
async def test_what_is_said_around_a_body_is_bounded_too(
    served: Served, issuer: Issuer, begins: bytes, piece: bytes
) -> None:
    """Trailers are kept by the server like headers, and nothing of them is a body."""
    async with served(**BOUNDS | {"API_BODY_SECONDS": "30"}) as client, Raw.to(client) as raw:
        await raw.send(post(issuer, "transfer-encoding: chunked") + begins)
        sent = 0
        while sent < 4_000 and await raw.send(piece * 10):
            sent += 1
        assert sent < 4_000, "40 MB were taken"
        assert (await client.get("/livez")).status_code == 200


async def test_small_chunks_are_a_body_like_any_other(served: Served, issuer: Issuer) -> None:
    async with served() as client, Raw.to(client) as raw:
        await raw.send(post(issuer, "transfer-encoding: chunked"), *[b"1\r\n \r\n" * 20_000] * 10)
        await raw.send(b"0\r\nx-trailer: y\r\n\r\n")
        assert b" 422 " in await raw.head()


async def test_a_refused_request_with_a_small_body_keeps_its_connection(served: Served, issuer: Issuer) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        body = b" " * 2_000
        await raw.send(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\n\r\n" + body[:100])
        assert b" 401 " in await raw.head()
        await raw.send(body[100:] + GET)
        assert b"HTTP/1.1 200 " in await raw.until(b"HTTP/1.1 200 ")


async def test_requests_one_behind_the_other_are_all_answered(served: Served, issuer: Issuer) -> None:
    async with served(**BOUNDS) as client, Raw.to(client) as raw:
        await raw.send(GET * 20 + post(issuer, "content-length: 2", "connection: close") + b"[]")
        answers = await raw.rest()
        assert (answers.count(b" 200 OK"), answers.count(b" 400 ")) == (20, 1)


async def test_many_slow_senders_leave_room_for_everybody_else(served: Served, issuer: Issuer) -> None:
    async with served(**BOUNDS) as client, AsyncExitStack() as open_:
        slow = [await open_.enter_async_context(Raw.to(client)) for _ in range(200)]
        await asyncio.gather(*(each.send(GET[:10]) for each in slow))
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert (await client.get("/livez")).status_code == 200
            took.append(time.monotonic() - began)
        assert sorted(took)[10] < 0.2
        assert {b" 408 " in each for each in await asyncio.gather(*(each.rest() for each in slow))} == {True}
