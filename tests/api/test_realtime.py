"""Followers over real HTTP: each ends with what SQL says, whatever its connections and its servers go through."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import websockets

from tests.api.conftest import Served, Servers
from tests.api.followers import (
    SUBPROTOCOL,
    Holder,
    books_of,
    follow_socket,
    heard,
    say,
    socket,
    streaming,
)
from tests.api.issuing import Issuer
from tests.support.events import encoded, event
from tests.support.stream import Stream
from tests.support.waiting import until

NOW = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)
ORG, OTHER = 1, 2
LEEWAY_SECONDS = 30  # of clocks that differ; so long a token is believed after its end
PATH = "/v2/realtime/stream"


class Trade:
    """A worker, and revenues of two organisations at three properties for it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.sent = 0

    async def send(self, count: int) -> None:
        """And wait until they are in the books, and told."""
        await self.begin(count)
        await self._stream.wait_until_consumed(2 * self.sent)

    async def begin(self, count: int) -> None:
        numbers = range(self.sent + 1, self.sent + count + 1)
        made = [event(n, org=org, property_=n % 3 + 1, at=NOW) for n in numbers for org in (ORG, OTHER)]
        await self._stream.send([(b"%d" % each["org_id"], encoded(each)) for each in made])
        self.sent += count


@asynccontextmanager
async def trading(stream: Stream) -> AsyncIterator[Trade]:
    with stream.worker(BATCH_ROWS_MAX="20", BATCH_LINGER_MS="5") as worker:
        yield Trade(stream)
        assert await worker.stop() == 0


async def holds_the_books(stream: Stream, *holders: Holder) -> None:
    """Sooner or later; and what it holds is something."""
    wanted = {holder.org_id: await books_of(stream, holder.org_id) for holder in holders}
    assert all(wanted.values())

    async def equal() -> bool:
        return all(holder.held == wanted[holder.org_id] for holder in holders)

    await until(equal, 20)


async def says(condition: bool) -> bool:
    return condition


async def test_a_stream_begins_with_a_snapshot_and_goes_on_with_its_cursor(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    holder, headers = Holder(ORG), issuer.bearer(ORG)
    async with trading(stream) as trade, served() as client:
        await trade.send(20)
        async with streaming(client, holder, headers):
            await until(lambda: says("snapshot" in holder.told))
            await trade.send(20)
            await holds_the_books(stream, holder)
        assert holder.told[:2] == ["subscribed", "snapshot"]
        assert "update" in holder.told
        await trade.send(20)
        holder.told.clear()
        async with streaming(client, holder, headers):
            await holds_the_books(stream, holder)
    assert "snapshot" not in holder.told, "it went on where it was"
    assert holder.resyncs == []


async def test_filters_narrow_the_snapshot_and_the_stream(stream: Stream, served: Served, issuer: Issuer) -> None:
    one, none, headers = Holder(ORG), Holder(ORG), issuer.bearer(ORG)
    async with trading(stream) as trade, served() as client:
        await trade.send(9)
        tomorrow = (NOW + timedelta(days=1)).date().isoformat()
        async with (
            streaming(client, one, headers, properties="2"),
            streaming(client, none, headers, first=tomorrow),
        ):
            await until(lambda: says("snapshot" in one.told and "snapshot" in none.told))
            await trade.send(9)
            wanted = {key: value for key, value in (await books_of(stream, ORG)).items() if key[0] == 2}
            await until(lambda: says(one.held == wanted))
        assert len(wanted) == 1
        assert none.held == {}
        assert "update" not in none.told


async def test_a_socket_follows_several_organisations(stream: Stream, servers: Servers, issuer: Issuer) -> None:
    holders = {"a": Holder(ORG), "b": Holder(OTHER)}
    async with trading(stream) as trade, servers() as server:
        await trade.send(10)
        async with socket(server.socket_url, issuer.bearer(ORG, OTHER)) as opened:
            assert opened.subprotocol == SUBPROTOCOL
            for name, holder in holders.items():
                await say(opened, type="subscribe", id=name, org_id=holder.org_id)
            following = asyncio.create_task(follow_socket(opened, holders))
            await trade.send(30)
            await holds_the_books(stream, *holders.values())
            await say(opened, type="unsubscribe", id="a")
            await until(lambda: says(holders["a"].closed == "left"))
            before = dict(holders["a"].held)
            await trade.send(5)
            await holds_the_books(stream, holders["b"])
            assert holders["a"].held == before
        await following


async def test_changes_since_a_cursor(stream: Stream, served: Served, issuer: Issuer) -> None:
    headers = issuer.bearer(ORG)
    async with trading(stream) as trade, served() as client:

        async def sync(**query: str) -> dict[str, object]:
            answer = await client.get("/v2/realtime/sync", params={"org_id": ORG, **query}, headers=headers)
            assert answer.status_code == httpx.codes.OK, answer.text
            changes: dict[str, object] = answer.json()
            return changes

        await trade.send(10)
        first = await sync()
        assert isinstance(first["balances"], list)
        holder = Holder(ORG, told=["subscribed"])
        holder.hear("snapshot", str(first["cursor"]), {"balances": first["balances"], "last": True})
        assert holder.held == await books_of(stream, ORG)
        await trade.send(10)

        async def caught_up() -> bool:
            changes = await sync(since=str(holder.cursor))
            assert (changes["resync"], changes["balances"]) == (None, None)
            assert isinstance(changes["updates"], list)
            for update in changes["updates"]:
                holder.hear("update", str(changes["cursor"]), update)
            return holder.held == await books_of(stream, ORG)

        await until(caught_up)
        assert "update" in holder.told


async def test_a_crowd_of_snapshots_leaves_places_to_who_reads_a_balance(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    """Of two places at the database they take one at a time; who must wait for a place is refused here."""
    few = {"RESILIENCE_POSTGRES_IN_FLIGHT_MAX": "2", "RESILIENCE_WAITING_MAX": "0"}
    async with trading(stream) as trade, served(**few, REALTIME_SNAPSHOTS_AT_ONCE="1") as client:
        await trade.send(3)
        holders = [Holder(ORG) for _ in range(40)]
        async with AsyncExitStack() as opened:
            for number, holder in enumerate(holders):
                headers = issuer.bearer(ORG, sub=str(number))
                await opened.enter_async_context(streaming(client, holder, headers))
            read = issuer.bearer(ORG) | {"Folio-Read": "primary"}
            statuses = [(await client.get(f"/v1/orgs/{ORG}/overview?day=2026-11-01", headers=read)).status_code]
            while not all(holder.held for holder in holders):
                await asyncio.sleep(0.01)
                answer = await client.get(f"/v1/orgs/{ORG}/overview?day=2026-11-01", headers=read)
                statuses.append(answer.status_code)
            assert set(statuses) == {httpx.codes.OK}
            assert all(holder.told[:2] == ["subscribed", "snapshot"] for holder in holders), "nobody was refused"
            page = await client.get("/v1/system/metrics/prometheus", headers=issuer.bearer(roles=["operator"]))
            assert 'folio_guarded_calls_refused_total{by="bulkhead",part="postgres"} 0.0' in page.text


async def test_a_cursor_that_nobody_can_go_on_from(stream: Stream, served: Served, issuer: Issuer) -> None:
    async with trading(stream) as trade, served() as client:
        await trade.send(3)
        other = Holder(OTHER)
        async with streaming(client, other, issuer.bearer(OTHER)):
            await holds_the_books(stream, other)
        # Somebody else's: it says nothing of them, and begins anew.
        mine = Holder(ORG, cursor=other.cursor)
        async with streaming(client, mine, issuer.bearer(ORG)):
            await holds_the_books(stream, mine)
        assert mine.resyncs == ["cursor_foreign"]
        refused = await client.get(PATH, params={"org_id": ORG, "cursor": "no cursor"}, headers=issuer.bearer(ORG))
        assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
        assert "leave it out" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "says_"),
    [
        ({"org_id": OTHER}, 403, "organisation 2"),
        ({}, 400, ""),
        ({"org_id": ORG, "properties": "1,x"}, 400, "properties"),
        ({"org_id": ORG, "properties": "0"}, 400, "an id is 1"),
        ({"org_id": ORG, "first": "2026-02-02", "last": "2026-02-01"}, 400, "must not be after"),
    ],
)
async def test_what_nobody_can_follow(
    served: Served, issuer: Issuer, query: dict[str, str], status: int, says_: str
) -> None:
    async with served() as client:
        for path in (PATH, "/v2/realtime/sync"):
            refused = await client.get(path, params=query, headers=issuer.bearer(ORG))
            assert (refused.status_code, says_ in refused.text) == (status, True), refused.text
            assert (await client.get(path, params=query)).status_code in {400, 401}


async def test_a_stream_ends_with_its_token(served: Served, issuer: Issuer) -> None:
    holder = Holder(ORG)
    async with served(REALTIME_HEARTBEAT_SECONDS="0.2") as client:
        soon = issuer.bearer(ORG, exp=int(time.time()) - LEEWAY_SECONDS + 4)
        async with streaming(client, holder, soon) as task:
            await asyncio.wait([task], timeout=20)
            assert task.done()
    assert holder.closed == "token_expired"
    assert "heartbeat" in holder.told


async def test_a_socket_renews_its_token_and_loses_what_that_does_not_name(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    holders = {"a": Holder(ORG), "b": Holder(OTHER)}
    async with trading(stream), servers(REALTIME_HEARTBEAT_SECONDS="0.2") as server:
        async with socket(server.socket_url) as opened:
            soon = int(time.time()) - LEEWAY_SECONDS + 6
            await say(opened, type="token", token=issuer.token(ORG, OTHER, exp=soon))
            assert (await heard(opened))["type"] == "token_accepted"
            for name, holder in holders.items():
                await say(opened, type="subscribe", id=name, org_id=holder.org_id)
            following = asyncio.create_task(follow_socket(opened, holders))
            await until(lambda: says(all("snapshot" in each.told for each in holders.values())))
            await say(opened, type="token", token=issuer.token(ORG))
            await until(lambda: says(holders["b"].closed == "forbidden"))
            await asyncio.sleep(soon + LEEWAY_SECONDS + 1 - time.time())  # beyond the first token's end
            assert holders["a"].closed is None
            assert opened.close_code is None
        await following


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("not json", 4400),
        ('{"type":"subscribe","id":"a","org_id":1}', 4401),
        ('{"type":"token","token":"forged"}', 4401),
        ('{"type":"launch"}', 4400),
        ('{"type":"subscribe","id":"a","org_id":1,"surprise":1}', 4400),
        ("[" * 10_000, 4400),
        ("x" * 40_000, 1009),
    ],
)
async def test_a_socket_that_says_something_else(servers: Servers, first: str, code: int) -> None:
    async with servers() as server, socket(server.socket_url) as opened:
        await opened.send(first)
        with pytest.raises(websockets.ConnectionClosed):
            await heard(opened)
        assert opened.close_code == code
        assert (await server.client.get("/livez")).status_code == httpx.codes.OK


async def test_what_a_socket_refuses_leaves_the_others_be(servers: Servers, issuer: Issuer) -> None:
    async with (
        servers(REALTIME_SOCKET_SUBSCRIPTIONS_MAX="2") as server,
        socket(server.socket_url, issuer.bearer(ORG)) as opened,
    ):
        asked = [
            ({"id": "a", "org_id": ORG}, "subscribed"),
            ({"id": "a", "org_id": ORG}, "malformed"),
            ({"id": "b", "org_id": OTHER}, "forbidden"),
            ({"id": "c", "org_id": ORG, "cursor": "none"}, "malformed"),
            ({"id": "d", "org_id": ORG}, "subscribed"),
            ({"id": "e", "org_id": ORG}, "too_many"),
        ]
        for message, wanted in asked:
            await say(opened, type="subscribe", **message)
            while (told := await heard(opened))["type"] in {"snapshot", "heartbeat"}:
                pass
            assert told.get("reason", told["type"]) == wanted, told
            assert told["id"] == message["id"]


async def test_users_and_organisations_have_bounds_over_all_processes(servers: Servers, issuer: Issuer) -> None:
    # Of this test alone: servers that were killed hold places for a while.
    org, user_of = 77, "{}-of-77".format
    bounds = {"REALTIME_USER_CONNECTIONS_MAX": "2", "REALTIME_ORG_CONNECTIONS_MAX": "3"}
    async with AsyncExitStack() as open_, servers(**bounds) as one, servers(**bounds) as two:

        async def join(server: object, user: str) -> int:
            client = (one if server is one else two).client
            headers = issuer.bearer(org, sub=user_of(user))
            response = await open_.enter_async_context(
                client.stream("GET", PATH, params={"org_id": org}, headers=headers)
            )
            return response.status_code

        assert [await join(one, "asha"), await join(two, "asha"), await join(one, "asha")] == [200, 200, 429]
        assert [await join(one, "ravi"), await join(two, "ravi")] == [200, 429], "three of the organisation"
        await open_.aclose()

        async def free() -> bool:
            async with one.client.stream(
                "GET", PATH, params={"org_id": org}, headers=issuer.bearer(org, sub=user_of("ravi"))
            ) as response:
                return response.status_code == httpx.codes.OK

        await until(free)


async def test_without_redis_followers_are_taken_all_the_same(servers: Servers, issuer: Issuer) -> None:
    async with servers(REDIS_URL="redis://127.0.0.1:9/0", REDIS_TIMEOUT_SECONDS="0.5") as server:
        headers = issuer.bearer(ORG, roles=["operator"])
        async with server.client.stream("GET", PATH, params={"org_id": ORG}, headers=headers) as response:
            assert response.status_code == httpx.codes.OK
        page = await server.client.get("/v1/system/metrics/prometheus", headers=headers)
        assert "folio_realtime_caps_unguarded_total 2.0" in page.text


async def test_a_server_that_ends_sends_its_followers_to_another(
    stream: Stream, servers: Servers, issuer: Issuer
) -> None:
    holder, headers = Holder(ORG), issuer.bearer(ORG)
    watched = {"a": Holder(ORG)}
    async with trading(stream) as trade:
        await trade.send(10)
        async with servers() as ending:
            async with socket(ending.socket_url, headers) as opened:
                await say(opened, type="subscribe", id="a", org_id=ORG)
                following = asyncio.create_task(follow_socket(opened, watched))
                async with streaming(ending.client, holder, headers) as task:
                    await holds_the_books(stream, holder, watched["a"])
                    ending.signal(signal.SIGTERM)
                    await asyncio.wait([task, following], timeout=10)
                    assert task.done()
                    assert following.done()
                assert opened.close_code == 1012
            assert await ending.ended() == 0
        assert (holder.closed, watched["a"].closed) == ("draining", "draining")
        await trade.send(10)
        # Begun after what it missed was told: it has read that from the topic.
        async with servers() as next_one, streaming(next_one.client, holder, headers):
            await holds_the_books(stream, holder)
    assert holder.resyncs == []
    assert holder.told.count("snapshot") == 1


async def test_an_operator_sees_how_the_gateway_does(stream: Stream, served: Served, issuer: Issuer) -> None:
    holder, path = Holder(ORG), "/v2/realtime/metrics"
    async with trading(stream) as trade, served() as client, streaming(client, holder, issuer.bearer(ORG)):
        await until(lambda: says("snapshot" in holder.told))
        await trade.send(10)
        await holds_the_books(stream, holder)
        answer = await client.get(path, headers=issuer.bearer(roles=["operator"]))
        assert (await client.get(path, headers=issuer.bearer(ORG))).status_code == httpx.codes.FORBIDDEN
    figures = answer.json()
    assert (figures["ready"], figures["connections"]) == (True, 1)
    assert figures["deliveries"] == holder.told.count("update") == figures["delivery_seconds"]["count"]
    assert 0 < figures["delivery_seconds"]["p95"] <= 10
    async with stream.database() as connection:
        updates = await connection.fetchval("SELECT sum(version) FROM finance.daily_cash_balances_partitioned")
    assert figures["received"] == updates == sum(figures["positions"].values())
