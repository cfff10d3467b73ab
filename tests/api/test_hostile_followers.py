"""Subscribers that never read, flood, or leave in the middle: they are ended, and nobody else notices."""

import asyncio
import json
import signal
import socket as sockets
import time
from datetime import date, timedelta

import httpx
import websockets
from websockets.frames import Frame, Opcode

from pipeline.stack.ports import HOST
from tests.api.conftest import Server, Servers
from tests.api.followers import SUBPROTOCOL, Holder, heard, say, socket, streaming
from tests.api.issuing import Issuer
from tests.api.test_realtime import ORG, holds_the_books, says, trading
from tests.support.stream import Stream
from tests.support.waiting import until

_MANY_DAYS = 9_000  # a snapshot of 3 MB: more than a socket's buffers take
_SLOW = {"REALTIME_SLOW_SECONDS_MAX": "1", "REALTIME_HEARTBEAT_SECONDS": "0.5"}


async def figure(server: Server, issuer: Issuer, line: str) -> float:
    page = await server.client.get("/v1/system/metrics/prometheus", headers=issuer.bearer(roles=["operator"]))
    found = [each for each in page.text.splitlines() if each.startswith(line + " ")]
    return float(found[0].split()[1]) if found else 0.0


async def fill(stream: Stream, org: int) -> None:
    """Many days of a property that nobody trades at."""
    last = date(2026, 1, 1)
    days = [last - timedelta(days=back) for back in range(_MANY_DAYS)]
    async with stream.database() as connection:
        await connection.execute(
            "INSERT INTO finance.daily_cash_balances_partitioned "
            "SELECT $1, 99, day, 1, 0, 5, 0, 0, 0, 5, NULL, 5, 0, NULL, now() FROM unnest($2::date[]) AS day",
            org,
            days,
        )


async def never_reading(port: int, request: bytes) -> sockets.socket:
    """A connection that asks, and takes nothing."""
    opened = sockets.socket()
    opened.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    await asyncio.to_thread(opened.connect, (HOST, port))
    opened.sendall(request)
    return opened


async def test_who_never_reads_is_ended_and_the_others_are_not(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    holder, bearer = Holder(ORG), issuer.bearer(ORG)
    head = f"Host: x\r\nAuthorization: {bearer['Authorization']}\r\n"
    events = f"GET /v2/realtime/stream?org_id={ORG} HTTP/1.1\r\n{head}\r\n".encode()
    upgrade = (
        f"GET /v2/realtime/ws HTTP/1.1\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyAhIQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()
    asked = json.dumps({"type": "subscribe", "id": "a", "org_id": ORG}).encode()
    subscribe = Frame(Opcode.TEXT, asked).serialize(mask=True)
    async with trading(stream) as trade, servers(**_SLOW) as server:
        await fill(stream, ORG)
        async with streaming(server.client, holder, bearer, properties="1,2,3"):
            deaf = [await never_reading(server.port, events), await never_reading(server.port, upgrade)]
            assert b" 101 " in await asyncio.to_thread(deaf[1].recv, 1_000)
            deaf[1].sendall(subscribe)
            ended = 'folio_realtime_closed_total{reason="slow_consumer"}'
            await until(lambda: _equals(server, issuer, ended, 2.0), 20)
            await until(lambda: _equals(server, issuer, "folio_realtime_connections", 1.0), 20)
            await trade.send(20)
            wanted = {key: value for key, value in holder.held.items() if key[0] != 99}
            assert wanted == holder.held
            await until(lambda: says("update" in holder.told))
        for each in deaf:
            each.close()


async def test_a_server_that_ends_says_so_and_waits_for_nobody_who_never_reads(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    bearer = issuer.bearer(ORG)["Authorization"]
    request = f"GET /v2/realtime/stream?org_id={ORG} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\n\r\n"
    await fill(stream, ORG)
    async with servers(API_SHUTDOWN_GRACE_SECONDS="2") as server:
        deaf = await never_reading(server.port, request.encode())
        await until(lambda: _equals(server, issuer, "folio_realtime_connections", 1.0))
        assert (await server.client.get("/readyz")).status_code == httpx.codes.OK
        server.signal(signal.SIGTERM)

        async def unready() -> bool:
            return (await server.client.get("/readyz")).status_code == httpx.codes.SERVICE_UNAVAILABLE

        await until(unready, 2)
        assert await server.ended() == 0
        deaf.close()


async def _equals(server: Server, issuer: Issuer, line: str, wanted: float) -> bool:
    return await figure(server, issuer, line) == wanted


async def test_who_asks_for_too_many_days_is_told_so(stream: Stream, servers: Servers, issuer: Issuer) -> None:
    holder, headers = Holder(ORG), issuer.bearer(ORG)
    await fill(stream, ORG)
    async with servers(REALTIME_SNAPSHOT_DAYS_MAX="100") as server:
        async with streaming(server.client, holder, headers) as task:
            await asyncio.wait([task], timeout=10)
        assert holder.closed == "too_large"
        answer = await server.client.get("/v2/realtime/sync", params={"org_id": ORG}, headers=headers)
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert "more than 100 days" in answer.json()["detail"]


async def test_who_floods_is_slowed_down(servers: Servers, issuer: Issuer) -> None:
    async with (
        servers(REALTIME_SOCKET_MESSAGES_PER_SECOND="10") as server,
        socket(server.socket_url, issuer.bearer(ORG)) as opened,
    ):
        began = time.monotonic()
        for _ in range(40):
            await say(opened, type="ping")
        for _ in range(40):
            assert (await heard(opened, 20))["type"] == "pong"
        assert time.monotonic() - began > 2.5, "ten at once, then ten a second"


async def test_frames_that_break_the_protocol_end_their_socket_alone(servers: Servers, issuer: Issuer) -> None:
    """Unmasked, of a reserved kind, not UTF-8, a fragment of nothing, too large in pieces."""
    hostile = [
        Frame(Opcode.TEXT, b"{}").serialize(mask=False),
        b"\x83\x80\x00\x00\x00\x00",
        Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True),
        Frame(Opcode.CONT, b"{}").serialize(mask=True),
        Frame(Opcode.TEXT, b"x" * 20_000, fin=False).serialize(mask=True)
        + Frame(Opcode.CONT, b"x" * 20_000).serialize(mask=True),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
    ]
    async with servers() as server, socket(server.socket_url, issuer.bearer(ORG)) as bystander:
        for frames in hostile:
            async with socket(server.socket_url, issuer.bearer(ORG)) as opened:
                opened.transport.write(frames)
                try:
                    while True:
                        await heard(opened)
                except websockets.ConnectionClosed:
                    pass
                assert opened.close_code in {1002, 1006, 1007, 1009}, frames[:10]
        await say(bystander, type="ping")
        assert (await heard(bystander))["type"] == "pong"
        assert await figure(server, issuer, "folio_realtime_connections") == 0


async def test_who_leaves_at_any_moment_leaves_nothing_behind(stream: Stream, servers: Servers, issuer: Issuer) -> None:
    headers = issuer.bearer(ORG)
    async with trading(stream) as trade, servers() as server:
        await trade.send(20)

        async def come_and_go(number: int) -> None:
            holder = Holder(ORG)
            async with streaming(server.client, holder, headers | issuer.bearer(ORG, sub=f"u{number}")):
                await asyncio.sleep(0.002 * number)

        await asyncio.gather(*(come_and_go(number) for number in range(40)))
        for number in range(20):
            async with socket(server.socket_url, headers) as opened:
                await say(opened, type="subscribe", id="a", org_id=ORG)
                await asyncio.sleep(0.002 * number)
        await until(lambda: _equals(server, issuer, "folio_realtime_connections", 0.0))
        assert "Traceback" not in server.log.read_text()
        holder = Holder(ORG)
        async with streaming(server.client, holder, headers):
            await holds_the_books(stream, holder)
