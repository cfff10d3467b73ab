"""A ticket opens once, for its holder, for a moment; whichever process meets it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from pipeline.api.metrics import ApiMetrics
from pipeline.api.tickets import TICKET_SECONDS, Tickets
from pipeline.api.tokens import Principal, Role, TokenRefused
from pipeline.cache.client import new_redis
from pipeline.clock import SystemClock
from pipeline.errors import CacheUnavailable
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings import RedisSettings
from pipeline.settings_serving import ResilienceSettings
from pipeline.stack import Endpoints
from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.support.stream import Stream

ROUTE = "/v2/realtime/tickets"


def holder(*, seconds: float = 600) -> Principal:
    return Principal("7", frozenset({1, 2**62}), frozenset({Role.READER}), time.time() + seconds)


def tickets_of(redis: Redis) -> Tickets:
    """As a process of its own has them."""
    guard = new_guard(Part.REDIS, ResilienceSettings(), SystemClock(), ResilienceMetrics(CollectorRegistry()))
    return Tickets(redis, guard, ApiMetrics())


@pytest_asyncio.fixture
async def processes(stack: Endpoints) -> AsyncIterator[list[Tickets]]:
    async with AsyncExitStack() as open_:
        clients = [new_redis(stack.redis_url, RedisSettings(timeout_seconds=10), 64) for _ in range(3)]
        for client in clients:
            open_.push_async_callback(client.aclose)
        yield [tickets_of(client) for client in clients]


@pytest_asyncio.fixture
async def redis(stack: Endpoints) -> AsyncIterator[Redis]:
    client = Redis.from_url(stack.redis_url)
    yield client
    await client.aclose()


async def test_of_fifty_that_redeem_it_at_once_one_does(processes: list[Tickets]) -> None:
    who = holder()
    for _ in range(5):
        ticket = await processes[0].issue(who)
        ends = await asyncio.gather(
            *(processes[n % 3].redeem(ticket.ticket) for n in range(50)), return_exceptions=True
        )
        assert [end for end in ends if not isinstance(end, TokenRefused)] == [who]


async def test_a_ticket_says_nothing_and_what_is_kept_opens_nothing(processes: list[Tickets], redis: Redis) -> None:
    ticket = await processes[0].issue(holder())
    other = await processes[0].issue(holder())
    assert len(ticket.ticket) == 43, "256 bits"
    assert ticket.ticket != other.ticket
    names = [name async for name in redis.scan_iter("folio:ticket:*")]
    assert len(names) >= 2
    assert not [name for name in names if ticket.ticket.encode() in name]
    for name in names:
        with pytest.raises(TokenRefused):
            await processes[0].redeem(name.decode().rpartition(":")[2][:43])
    assert (await processes[1].redeem(ticket.ticket)).subject == "7"


async def test_it_lives_for_half_a_minute_and_never_longer_than_its_token(
    processes: list[Tickets], redis: Redis
) -> None:
    for name in [name async for name in redis.scan_iter("folio:ticket:*")]:
        await redis.delete(name)
    ticket = await processes[0].issue(holder())
    (name,) = [name async for name in redis.scan_iter("folio:ticket:*")]
    assert ticket.expires_in_seconds == TICKET_SECONDS == 30
    assert 28 < await redis.pttl(name) / 1000 <= 30
    await redis.pexpire(name, 1)
    await asyncio.sleep(0.02)
    with pytest.raises(TokenRefused):
        await processes[0].redeem(ticket.ticket)
    short = await processes[0].issue(holder(seconds=5))
    assert short.expires_in_seconds in (4, 5)
    over = await processes[0].issue(holder(seconds=-60))
    with pytest.raises(TokenRefused):
        await processes[0].redeem(over.ticket)


@pytest.mark.parametrize("text", ["", "x", "é" * 43, "\0" * 43, "a" * 44, "a" * 1_000_000, "*" * 43])
async def test_what_is_no_ticket_is_refused(processes: list[Tickets], text: str) -> None:
    with pytest.raises(TokenRefused):
        await processes[0].redeem(text)


async def test_without_redis_there_are_no_tickets() -> None:
    client = new_redis("redis://127.0.0.1:1/0", RedisSettings(timeout_seconds=0.2))
    try:
        tickets = tickets_of(client)
        with pytest.raises(CacheUnavailable):
            await tickets.issue(holder())
        with pytest.raises(CacheUnavailable):
            await tickets.redeem("a" * 43)
    finally:
        await client.aclose()


async def test_the_route_gives_one_to_who_holds_a_token(
    stream: Stream, served: Served, issuer: Issuer, processes: list[Tickets]
) -> None:
    async with served() as client, served(REDIS_URL="redis://127.0.0.1:1/0") as alone:
        answer = await client.post(ROUTE, headers=issuer.bearer(1, 5))
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert answer.json().keys() == {"ticket", "expires_in_seconds"}
        principal = await processes[0].redeem(answer.json()["ticket"])
        assert (principal.subject, sorted(principal.orgs), list(principal.roles)) == ("7", [1, 5], [Role.READER])
        assert (await client.post(ROUTE)).status_code == httpx.codes.UNAUTHORIZED
        ticket = (await client.post(ROUTE, headers=issuer.bearer(1))).json()["ticket"]
        for spent in (f"{ROUTE}?ticket={ticket}", ROUTE):
            headers = {} if "?" in spent else {"Authorization": f"Bearer {ticket}"}
            answer = await client.post(spent, headers=headers)
            assert answer.status_code == httpx.codes.UNAUTHORIZED, "a ticket makes no ticket"
        away = await alone.post(ROUTE, headers=issuer.bearer(1))
        assert (away.status_code, away.json()["title"]) == (503, "Try again")
