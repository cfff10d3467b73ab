"""Who asks too often is told when to come again, and nobody else notices; and every request is counted."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets

from pipeline.api.limiting import Addresses, Buckets, Rate, network_of
from tests.api.conftest import Served
from tests.api.followers import SUBPROTOCOL, heard, say, socket
from tests.api.issuing import Issuer

PATH = "/v1/orgs/1/overview?day=2026-11-01"
SLOW = {"API_RATE_HOLDER_PER_SECOND": "2", "API_RATE_HOLDER_BURST": "5"}
SLOW_ADDRESS = {"API_RATE_ADDRESS_PER_SECOND": "1", "API_RATE_ADDRESS_BURST": "4"}


async def samples(client: httpx.AsyncClient, issuer: Issuer) -> dict[str, float]:
    """Asked with a name of its own, which has a rate of its own."""
    operator = issuer.bearer(roles=["operator"], sub="operator")
    page = (await client.get("/v1/system/metrics/prometheus", headers=operator)).text
    return {name: float(value) for name, value in re.findall(r"^(folio_api_\S+) (\S+)$", page, re.MULTILINE)}


async def test_a_holder_is_held_to_his_rate_whatever_token_he_has(served: Served, issuer: Issuer) -> None:
    async with served(**SLOW) as client:
        began = time.monotonic()
        answers = [await client.get(PATH, headers=issuer.bearer(1, iat=int(time.time()) - n)) for n in range(12)]
        refused = [answer for answer in answers if answer.status_code == httpx.codes.TOO_MANY_REQUESTS]
        assert len(refused) == pytest.approx(7 - 2 * (time.monotonic() - began), abs=1.1)
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        told = refused[0]
        assert (told.headers["retry-after"], told.json()["status"]) == ("1", 429)
        assert told.headers["content-type"] == "application/problem+json"
        assert told.headers["x-content-type-options"] == "nosniff"
        assert "2 requests a second" in told.json()["detail"]
        other = await client.get(PATH, headers=issuer.bearer(1, sub="8"))
        assert other.status_code == httpx.codes.OK, "another holder has a rate of his own"
        counted = await samples(client, issuer)
        assert counted['folio_api_refused_total{reason="rate"}'] == len(refused)
        await asyncio.sleep(1.1)
        assert (await client.get(PATH, headers=issuer.bearer(1))).status_code == httpx.codes.OK


async def test_without_a_valid_token_the_address_counts(served: Served, issuer: Issuer) -> None:
    """Its proxy, which is trusted, says for whom it asks."""

    async def get(client: httpx.AsyncClient, address: str, **headers: str) -> int:
        return (await client.get(PATH, headers={"X-Forwarded-For": address} | headers)).status_code

    async with served(API_TRUSTED_PROXIES="127.0.0.0/8", **SLOW_ADDRESS) as client:
        forged = issuer.bearer(1, iss="https://else.where")
        assert [await get(client, "192.0.2.1", **({} if n % 2 else forged)) for n in range(4)] == [401] * 4
        assert [await get(client, "192.0.2.1") for _ in range(2)] == [429] * 2
        assert await get(client, "192.0.2.1", **forged) == 429
        assert await get(client, "192.0.2.2") == 401, "another address has a rate of its own"
        known = issuer.bearer(1)
        assert await get(client, "192.0.2.2", **known) == 200
        assert await get(client, "192.0.2.1", **known) == 200, "who was verified is not held for his neighbours"
        assert [await get(client, f"2001:db8::{n}") for n in range(1, 7)] == [401] * 4 + [429] * 2
        assert await get(client, "2001:db8:0:1::1") == 401
        assert (await samples(client, issuer))['folio_api_refused_total{reason="address_rate"}'] == 5
        health = [(await client.get("/livez", headers={"X-Forwarded-For": "192.0.2.1"})).status_code for _ in range(9)]
        assert health == [200] * 9


async def test_a_handshake_counts_as_a_request_does(served: Served, issuer: Issuer) -> None:
    async with served(**(SLOW | {"API_RATE_HOLDER_BURST": "3"})) as client:
        url, headers = f"ws://{client.base_url.netloc.decode()}/v2/realtime/ws", issuer.bearer(1)
        for _ in range(3):
            async with socket(url, headers) as taken:
                await say(taken, type="ping")
                assert (await heard(taken))["type"] == "pong"
        async with socket(url, headers) as refused:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await heard(refused)
            assert refused.subprotocol == SUBPROTOCOL, "or a browser would not tell the page why"
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, "2 requests a second" in closed.value.rcvd.reason) == (1013, True)
        async with socket(url, issuer.bearer(1, sub="8")) as other:
            await say(other, type="ping")
            assert (await heard(other))["type"] == "pong"


async def test_a_page_that_may_ask_can_read_the_refusal(served: Served, issuer: Issuer) -> None:
    async with served(API_CORS_ORIGINS="https://hotel.example", **(SLOW | {"API_RATE_HOLDER_BURST": "1"})) as client:
        for origin, may in (("https://hotel.example", True), ("https://evil.example", False)):
            headers = issuer.bearer(1, sub=origin) | {"Origin": origin}
            answers = [await client.get(PATH, headers=headers) for _ in range(2)]
            assert answers[1].status_code == httpx.codes.TOO_MANY_REQUESTS
            assert (answers[1].headers.get("access-control-allow-origin") == origin) is may


async def test_requests_are_counted_by_the_template_of_their_route(served: Served, issuer: Issuer) -> None:
    mine = issuer.bearer(1, 2)
    async with served() as client:
        for org in (1, 2):
            for _ in range(3):
                await client.get(f"/v1/orgs/{org}/overview?day=2026-11-01", headers=mine)
        await client.get("/v1/orgs/3/overview?day=2026-11-01", headers=mine)
        await client.get("/v1/no/such/thing-9471")
        await client.request("BREW", "/livez")
        await client.post("/livez")
        counted = await samples(client, issuer)
    route = "/v1/orgs/{org_id}/overview"
    assert counted[f'folio_api_requests_total{{method="GET",route="{route}",status="2xx"}}'] == 6
    assert counted[f'folio_api_requests_total{{method="GET",route="{route}",status="4xx"}}'] == 1
    assert counted['folio_api_requests_total{method="GET",route="none",status="4xx"}'] == 1
    assert counted[f'folio_api_request_seconds_count{{route="{route}"}}'] == 7
    assert 0 < counted[f'folio_api_request_seconds_sum{{route="{route}"}}'] < 5
    assert not [name for name in counted if "9471" in name or "BREW" in name or "/orgs/1" in name]


@asynccontextmanager
async def _loop_time(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[float]]:
    now = [1_000.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    try:
        yield now
    finally:
        monkeypatch.undo()


class TestBuckets:
    async def test_as_many_as_the_burst_then_by_the_rate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with _loop_time(monkeypatch) as now:
            buckets = Buckets(Rate(per_second=2, burst=3), 10)
            assert [await buckets.take("a") for _ in range(4)] == [True] * 3 + [False]
            assert not buckets.has_room("a")
            now[0] += 0.5
            assert [await buckets.take("a") for _ in range(2)] == [True, False]
            now[0] += 60
            assert [await buckets.take("a") for _ in range(4)] == [True] * 3 + [False]

    async def test_the_table_is_bounded_by_who_was_heard_of_last(self) -> None:
        buckets = Buckets(Rate(per_second=0.001, burst=1), 3)
        for name in "abcd":
            assert await buckets.take(name)
        assert len(buckets._buckets) == 3

    @pytest.mark.parametrize(("rate", "seconds"), [(2000, 1), (1, 1), (0.4, 3)])
    def test_when_to_come_again(self, rate: float, seconds: int) -> None:
        assert Rate(rate, 10).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("trusted", "client", "said", "counts"),
    [
        (None, "192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # whoever asks may say what he likes
        ("10.0.0.0/8", "192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.0/8", "10.1.2.3", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.0/8", "10.1.2.3", ["203.0.113.9, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),  # the first was made up
        ("10.0.0.0/8", "10.1.2.3", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.0/8", "10.1.2.3", [], "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3", ["10.4.4.4"], "10.1.2.3"),
        ("10.0.0.0/8,2001:db8:f::/48", "2001:db8:f::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::"),
    ],
)
def test_whose_address_counts(trusted: str | None, client: str, said: list[str], counts: str) -> None:
    headers = [(b"x-forwarded-for", each.encode()) for each in said]
    assert Addresses(trusted).of({"client": (client, 1), "headers": headers}) == counts  # type: ignore[arg-type]  # of a scope, what is looked at


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("no:address", "no:address"),
    ],
)
def test_a_network_is_one_customers(host: str, network: str) -> None:
    assert network_of(host) == network
