"""What a client may do to its socket, and what must not come of it."""

import asyncio
import base64
import os
import socket as sockets
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import websockets

from pipeline.api.realtime.socket_messages import Code
from pipeline.stack.ports import HOST
from tests.api.conftest import Server, Servers
from tests.api.followers import SUBPROTOCOL, heard, say, socket
from tests.api.issuing import Issuer

_FLOOD_SECONDS = 5.0
_MB_MORE_MAX = 40
_MASK = b"\0\0\0\0"
_PING = b"\x89\xfd" + _MASK + b"x" * 125
_FIRST_PIECE, _EMPTY_PIECE = b"\x01\x80" + _MASK, b"\x00\x80" + _MASK


async def test_a_name_is_free_again_once_its_subscription_was_ended(servers: Servers, issuer: Issuer) -> None:
    """Also where both were said at once, before the subscription had begun."""
    async with servers() as server, socket(server.socket_url, issuer.bearer(1)) as opened:
        await say(opened, type="ping")  # the first message has no turn to wait for
        assert (await heard(opened))["type"] == "pong"
        for _ in range(25):  # more than a socket may have at once
            await say(opened, type="subscribe", id="a", org_id=1)
            await say(opened, type="unsubscribe", id="a")
            while (told := await heard(opened))["type"] != "closed":
                assert told["type"] in ("subscribed", "snapshot"), told


async def test_a_socket_over_which_nothing_is_followed_is_ended(servers: Servers, issuer: Issuer) -> None:
    """Before anything is, and again once nothing is; not between two updates of what is followed."""
    bounds = {"REALTIME_SOCKET_IDLE_SECONDS": "0.5", "REALTIME_HEARTBEAT_SECONDS": "0.2"}
    async with servers(**bounds) as server:
        async with socket(server.socket_url, issuer.bearer(1)) as opened:
            with suppress(websockets.ConnectionClosed):
                for _ in range(50):  # whoever only asks whether we are there follows nothing either
                    await say(opened, type="ping")
                    await heard(opened)
                    await asyncio.sleep(0.1)
            assert opened.close_code == Code.IDLE
        async with socket(server.socket_url, issuer.bearer(1)) as opened:
            await say(opened, type="subscribe", id="a", org_id=1)
            for _ in range(8):
                assert (await heard(opened))["id"] == "a"
            await say(opened, type="unsubscribe", id="a")
            await asyncio.wait_for(opened.wait_closed(), 5)
            assert opened.close_code == Code.IDLE


@pytest.mark.parametrize(("begins", "goes_on"), [(b"", _PING), (_FIRST_PIECE, _EMPTY_PIECE)], ids=["pings", "pieces"])
async def test_who_speaks_to_the_protocol_alone_fills_no_memory(
    servers: Servers, issuer: Issuer, begins: bytes, goes_on: bytes
) -> None:
    """Pings whose answers he never reads, and a message of empty pieces without an end: both past the application."""
    async with servers() as server:
        before = _resident_mb(server)
        ended = await asyncio.to_thread(_flood, server.port, issuer.token(1), begins, goes_on * 1_000)
        assert _resident_mb(server) - before < _MB_MORE_MAX
        assert ended, "it would have gone on for ever"
        assert (await server.client.get("/livez")).status_code == httpx.codes.OK


def _flood(port: int, token: str, begins: bytes, goes_on: bytes) -> bool:
    """Whether the server has ended it."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /v2/realtime/ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    with sockets.create_connection((HOST, port), timeout=20) as client:
        client.sendall(head.encode())
        assert client.recv(1_024).startswith(b"HTTP/1.1 101")
        deadline = time.monotonic() + _FLOOD_SECONDS
        try:
            client.sendall(begins)
            while time.monotonic() < deadline:
                client.sendall(goes_on)
        except OSError:
            return True
    return False


def _resident_mb(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) >> 10
