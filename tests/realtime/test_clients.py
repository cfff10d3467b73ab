"""The Python client of docs/clients on a real server: it ends with what SQL says, whatever the connection does."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import ModuleType
from typing import Any

import pytest

from tests.api.conftest import issuer
from tests.api.followers import books_of
from tests.api.issuing import Issuer
from tests.console.conftest import server
from tests.console.server import Server
from tests.realtime.judged import CASES, Held
from tests.support.events import encoded, event
from tests.support.starting import REPOSITORY
from tests.support.stream import Message, Stream
from tests.support.waiting import until

__all__ = ["issuer", "server"]  # fixtures
ORG = 3


@pytest.fixture(scope="module")
def client() -> ModuleType:
    """As whoever copied the file would import it."""
    spec = importlib.util.spec_from_file_location("folio_realtime", REPOSITORY / "docs/clients/folio_realtime.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def events(first: int, count: int) -> list[Message]:
    return [(b"%d" % ORG, encoded(event(n, org=ORG, property_=n % 3 + 1))) for n in range(first, first + count)]


@asynccontextmanager
async def following(balances: Any) -> AsyncIterator[list[dict[Any, Any]]]:
    """What it has yielded so far; within the block it follows."""
    told: list[dict[Any, Any]] = []

    async def follow() -> None:
        async with aclosing(balances.follow()) as changes:
            async for changed in changes:
                told.append(changed)  # noqa: PERF401  # each as it comes

    task = asyncio.create_task(follow())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def test_it_ends_with_what_the_books_say_through_a_restart(
    client: ModuleType, stream: Stream, server: Server, issuer: Issuer
) -> None:
    async def token(_: bool) -> str:
        return issuer.token(ORG)

    balances = client.Balances(server.address, ORG, token)

    async def agrees() -> bool:
        held = {key: (each["version"], each["closing_balance_cents"]) for key, each in balances.known.items()}
        return bool(held) and held == await books_of(stream, ORG)

    with stream.worker():
        await stream.send(events(1, 20))
        await stream.wait_until_consumed(20)
        async with following(balances) as told:
            await until(agrees, 20)
            assert len(told) == 1, "a snapshot"
            await stream.send(events(21, 20))
            await stream.wait_until_consumed(40)
            await until(agrees, 20)
            server.kill()
            await stream.send(events(41, 20))
            await stream.wait_until_consumed(60)
            await server.start()
            await until(agrees, 40)
            await stream.send(events(61, 1))
            await stream.wait_until_consumed(61)
            await until(agrees, 20)


async def test_it_renews_its_token_and_gives_up_where_that_cannot_help(
    client: ModuleType, stream: Stream, server: Server, issuer: Issuer
) -> None:
    asked: list[bool] = []

    async def token(renew: bool) -> str:
        asked.append(renew)
        return issuer.token(ORG) if renew else issuer.token(ORG, exp=1)

    with stream.worker():
        await stream.send(events(1, 2))
        await stream.wait_until_consumed(2)
    balances = client.Balances(server.address, ORG, token)
    async with following(balances) as told:
        await until(lambda: _says(bool(told)), 20)
    assert asked == [False, True]

    async def of_another(_: bool) -> str:
        return issuer.token(ORG + 1)

    with pytest.raises(client.Refused):
        await asyncio.wait_for(anext(client.Balances(server.address, ORG, of_another).follow()), 20)


async def _says(condition: bool) -> bool:
    return condition


@pytest.mark.parametrize(("held", "epoch", "version", "previous", "expected"), CASES)
def test_what_is_taken(
    client: ModuleType, held: Held | None, epoch: str, version: int, previous: int | None, expected: str
) -> None:
    assert client.judge(held, {"epoch": epoch, "version": version}, previous) == expected
