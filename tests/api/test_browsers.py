"""Browsers follow by tickets, each good once, and only from pages that may."""

import asyncio

import httpx
import pytest
import websockets

from tests.api.conftest import Server, Servers
from tests.api.followers import SUBPROTOCOL, Holder, heard, say, socket, streaming
from tests.api.issuing import Issuer
from tests.api.test_realtime import ORG, OTHER, PATH, says
from tests.support.stream import Stream
from tests.support.waiting import until

_OWN = "https://app.hotel.example"


async def ticket(server: Server, issuer: Issuer, *orgs: int) -> str:
    answer = await server.client.post("/v2/realtime/tickets", headers=issuer.bearer(*orgs))
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["ticket"])


async def test_a_ticket_opens_one_stream(servers: Servers, issuer: Issuer) -> None:
    async with servers() as server:
        one = await ticket(server, issuer, ORG)
        holder = Holder(ORG)
        async with streaming(server.client, holder, {}, ticket=one):
            await until(lambda: says("snapshot" in holder.told))
        again = await server.client.get(PATH, params={"org_id": ORG, "ticket": one})
        assert (again.status_code, "ask for a new one" in again.text) == (401, True)
        foreign = await server.client.get(PATH, params={"org_id": OTHER, "ticket": await ticket(server, issuer, ORG)})
        assert foreign.status_code == httpx.codes.FORBIDDEN


async def test_a_ticket_opens_one_socket(servers: Servers, issuer: Issuer) -> None:
    async with servers() as server:
        address = f"{server.socket_url}?ticket={await ticket(server, issuer, ORG)}"
        async with socket(address) as opened:
            await say(opened, type="subscribe", id="a", org_id=ORG)
            assert (await heard(opened))["type"] == "subscribed"
            await say(opened, type="subscribe", id="b", org_id=OTHER)
            while (told := await heard(opened))["type"] != "refused":
                pass
            assert told["reason"] == "forbidden"
        async with socket(address) as opened:
            with pytest.raises(websockets.ConnectionClosed):
                await heard(opened)
            assert opened.close_code == 4401


@pytest.mark.parametrize(
    ("origin", "may"),
    [(_OWN, True), ("https://evil.example", False), ("null", False), ("http://{host}", True), (None, True)],
)
async def test_pages_from_elsewhere_may_not(servers: Servers, issuer: Issuer, origin: str | None, may: bool) -> None:
    async with servers(API_CORS_ORIGINS=_OWN) as server:
        host = server.client.base_url.netloc.decode()
        headers = {"Origin": origin.format(host=host)} if origin is not None else {}
        async with server.client.stream(
            "GET", PATH, params={"org_id": ORG, "ticket": await ticket(server, issuer, ORG)}, headers=headers
        ) as response:
            assert response.status_code == (200 if may else 403)
        async with websockets.connect(
            server.socket_url, subprotocols=[SUBPROTOCOL], additional_headers=headers | issuer.bearer(ORG)
        ) as opened:
            if may:
                await say(opened, type="ping")
                assert (await heard(opened))["type"] == "pong"
            else:
                with pytest.raises(websockets.ConnectionClosed):
                    await heard(opened)
                assert opened.close_code == 4403


async def test_a_stream_by_a_ticket_ends_with_the_key_of_its_token(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    """As one by a token does: whoever takes a key back wants to see the last of what it opened."""
    holder = Holder(ORG)
    async with (
        servers(API_JWKS_CHECK_SECONDS="0.05", REALTIME_HEARTBEAT_SECONDS="0.2") as server,
        streaming(server.client, holder, {}, ticket=await ticket(server, issuer, ORG)) as following,
    ):
        await until(lambda: says("snapshot" in holder.told))
        Issuer("test-2").publish(stream.folder / "keys.json")
        await asyncio.wait_for(following, 10)
    assert holder.closed == "token_expired"
