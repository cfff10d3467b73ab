"""An entity tag is of what is answered, and not of how it was packed on the way."""

import asyncio

import httpx

from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.api.test_reading import BASE, TODAY, booked
from tests.support.stream import Stream


async def test_compressed_now_later_or_not_at_all_it_is_the_same_answer(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    await booked(stream)
    mine, report = issuer.bearer(1), f"{BASE}/reports/daily/{TODAY}"
    async with served() as client:
        packed = await client.get(report, headers=mine)
        await asyncio.sleep(1.1)  # gzip notes the second in which it packs
        later = await client.get(report, headers=mine)
        plain = await client.get(report, headers=mine | {"Accept-Encoding": "identity"})
        known = await client.get(report, headers=mine | {"If-None-Match": packed.headers["etag"]})
    assert [each.headers.get("content-encoding") for each in (packed, later, plain)] == ["gzip", "gzip", None]
    assert packed.json() == later.json() == plain.json()
    assert len({each.headers["etag"] for each in (packed, later, plain)}) == 1
    assert known.status_code == httpx.codes.NOT_MODIFIED
