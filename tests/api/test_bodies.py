"""The bodies of all requests together are bounded, however many come at once, and what has ended is given back."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import httpx
import pytest

from pipeline.errors import SettingsRefused
from pipeline.settings import load
from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.api.test_applied import sample
from tests.api.test_connection import Raw, post, problem, writer
from tests.support.waiting import until

_BODY: Final = 1 << 20
_FIT: Final = 4
_BOUNDS: Final = {"API_BODY_BYTES_MAX": str(_BODY), "API_BODIES_BYTES_MAX": str(_FIT * _BODY)}
_PIECE: Final = b" " * (_BODY // 16)
_HELD: Final = "folio_api_bodies_bytes"
_REFUSED: Final = 'folio_api_refused_total{reason="bodies"}'


async def holds(client: httpx.AsyncClient, issuer: Issuer, length: int) -> None:
    async def so_much() -> bool:
        held = await sample(client, issuer, _HELD)
        assert held <= _FIT * _BODY
        return held == length

    await until(so_much)


async def test_beyond_the_bound_of_all_bodies_one_more_is_refused_until_others_end(
    served: Served, issuer: Issuer
) -> None:
    async with served(**_BOUNDS) as client, AsyncExitStack() as opened:
        slow = [await opened.enter_async_context(Raw.to(client)) for _ in range(_FIT)]
        for each in slow:
            await each.send(post(issuer, f"content-length: {_BODY}", "connection: close"), *[_PIECE] * 15)
        await holds(client, issuer, _FIT * _BODY // 16 * 15)
        more = await opened.enter_async_context(Raw.to(client))
        await more.send(post(issuer, f"content-length: {_BODY}"), *[_PIECE] * 15)
        answer = await more.rest()
        assert (problem(answer)["status"], problem(answer)["title"]) == (503, "Overloaded")
        assert b"retry-after: 1\r\n" in answer
        assert await sample(client, issuer, _REFUSED) == 1
        assert (await client.get("/livez")).status_code == 200, "what has no body needs no room"
        await holds(client, issuer, _FIT * _BODY // 16 * 15)
        for each in slow:  # those that were taken in are served to their end
            await each.send(_PIECE)
            assert b" 422 " in await each.rest()
        await holds(client, issuer, 0)
        full = await client.post("/v1/events", headers=writer(issuer), content=b" " * _BODY)
        assert full.status_code == httpx.codes.UNPROCESSABLE_ENTITY, "read to its end: no event"


@pytest.mark.parametrize("chunked", [False, True])
async def test_uploads_that_are_broken_off_leave_nothing(served: Served, issuer: Issuer, chunked: bool) -> None:
    head = post(issuer, "transfer-encoding: chunked" if chunked else f"content-length: {_BODY}")
    piece = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE) if chunked else _PIECE
    async with served(**_BOUNDS) as client:
        for _ in range(10):
            async with AsyncExitStack() as opened:
                for _ in range(10):
                    await (await opened.enter_async_context(Raw.to(client))).send(head, piece, piece)
        await holds(client, issuer, 0)
        full = [client.post("/v1/events", headers=writer(issuer), content=b" " * _BODY) for _ in range(_FIT)]
        answers = await asyncio.gather(*full)
        assert {answer.status_code for answer in answers} == {httpx.codes.UNPROCESSABLE_ENTITY}


async def test_whoever_may_not_write_holds_nothing(served: Served, issuer: Issuer) -> None:
    """Nor does a body where none belongs."""
    async with served(**_BOUNDS) as client, AsyncExitStack() as opened:
        for head in (b"POST /v1/events HTTP/1.1\r\nhost: x\r\n", b"GET /livez HTTP/1.1\r\nhost: x\r\n"):
            raw = await opened.enter_async_context(Raw.to(client))
            await raw.send(head + b"content-length: %d\r\n\r\n" % _BODY, *[_PIECE] * 8)
            await raw.head()
            assert await sample(client, issuer, _HELD) == 0


def test_the_largest_body_must_fit() -> None:
    with pytest.raises(SettingsRefused, match="bodies_bytes_max must not be below body_bytes_max"):
        load({"FOLIO_API_BODIES_BYTES_MAX": "33554431"})
