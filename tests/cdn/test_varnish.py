"""Behind a real Varnish: kept, purged when it changes, and never shown to anybody else.

Lives are a minute here unless a test is about their end: what changes earlier has been purged.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pipeline.cdn.metrics import CdnMetrics
from pipeline.cdn.opening import new_purges
from pipeline.clock import SystemClock
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings_serving import CacheSettings, CdnSettings, ResilienceSettings
from pipeline.stack.ports import HOST, choose
from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.api.test_reading import BASE, NOW, TODAY, YESTERDAY, booked
from tests.cdn.conftest import Fronted
from tests.cdn.varnish import HERE, Varnish, varnish
from tests.support.events import encoded, event
from tests.support.stream import Stream, WorkerProcess

pytestmark = pytest.mark.skipif(
    not HERE, reason="Varnish with xkey is not here: apt-get install varnish varnish-modules"
)
DAY = f"{BASE}/balances/{TODAY}"
LONG = {"CACHE_ACTIVE_TTL_SECONDS": "60", "CACHE_PAST_TTL_SECONDS": "60"}
BOOKED = 5  # records that `booked` sends
SEVERAL = (
    f"{BASE}/balances?first={YESTERDAY}&last={TODAY}",
    f"{BASE}/reports/daily/{TODAY}",
    f"{BASE}/reports/months/{TODAY}",
)


async def cached(front: Varnish, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask twice: the second answer is a hit, and the same."""
    first = await front.get(path, headers)
    second = await front.get(path, headers)
    assert (first.status_code, second.status_code) == (200, 200), (first.text, second.text)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit"), path
    assert first.json() == second.json()
    return second


async def told(worker: WorkerProcess, wanted: Callable[[dict[str, float]], bool], seconds: float = 20) -> None:
    """Wait until the worker's metrics say so."""
    deadline = time.monotonic() + seconds
    while not wanted(defaultdict(float, worker.metrics())):
        assert time.monotonic() < deadline, {name: at for name, at in worker.metrics().items() if "cdn" in name}
        await asyncio.sleep(0.05)


async def change(stream: Stream, version: int, amount: int, org: int = 1) -> None:
    changed = event(3 if org == 1 else 9, version, org=org, at=NOW, amount=amount, mode="bank")
    await stream.send([(str(org).encode(), encoded(changed))])


async def test_what_is_kept_is_purged_by_the_commit_that_changes_it(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine, theirs = issuer.bearer(1), issuer.bearer(2)
    async with fronted(**LONG) as front:
        hit = await cached(front, DAY, mine)
        assert hit.json()["bank_received_cents"] == 50
        assert hit.headers["cache-control"] == "private, no-cache", "a browser asks each time"
        assert int(hit.headers["age"]) <= 60
        assert not {"surrogate-control", "surrogate-key", "xkey"} & set(hit.headers), "are the CDN's alone"
        for path in (*SEVERAL, f"{BASE}/balances/{YESTERDAY}"):
            await cached(front, path, mine)
        other = f"/v1/orgs/2/properties/1/balances/{TODAY}"
        await cached(front, other, theirs)

        with stream.worker() as worker:
            await change(stream, 2, 70)
            seconds = await front.until(DAY, mine, bank_received_cents=70)
            assert seconds < 20, "long before its minute is over"
            await stream.wait_until_consumed(BOOKED + 1)
            for path in SEVERAL:
                answer = await front.get(path, mine)
                assert "70" in answer.text, path
            kept = [await front.get(f"{BASE}/balances/{YESTERDAY}", mine), await front.get(other, theirs)]
            assert [each.headers["x-cache"] for each in kept] == ["hit", "hit"], "what did not change stays"
            await change(stream, 3, 90)
            await front.until(DAY, mine, bank_received_cents=90)
            assert await worker.stop() == 0
            assert '"cdn"' not in worker.log, "no circuit moved"


async def test_a_day_without_a_row_is_purged_with_the_day_that_it_closes_as(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine, empty = issuer.bearer(1), f"{BASE}/balances/{TODAY.replace(year=TODAY.year + 1)}"
    async with fronted(**LONG) as front:
        assert (await cached(front, empty, mine)).json()["version"] == 0
        with stream.worker():
            await stream.send([(b"1", encoded(event(4, at=NOW, amount=5)))])
            await front.until(empty, mine, closing_balance_cents=95)


async def test_nobody_is_shown_what_was_kept_for_another_token(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine, colleague, operator = (
        issuer.bearer(1),
        issuer.bearer(1, sub="colleague"),
        issuer.bearer(roles=["operator"]),
    )
    async with fronted(**LONG) as front:
        await cached(front, DAY, mine)
        await cached(front, DAY, operator)
        for headers, status in (
            ({}, 401),
            (issuer.bearer(2), 403),
            (issuer.bearer(), 403),
            ({"Authorization": ""}, 401),
        ):
            refused = [await front.get(DAY, headers) for _ in range(2)]
            assert [each.status_code for each in refused] == [status, status]
            assert {each.headers["x-cache"] for each in refused} == {"miss"}, "no refusal is kept either"
        assert (await front.get(DAY, colleague)).headers["x-cache"] == "miss"
        assert (await front.get(DAY, colleague)).headers["x-cache"] == "hit"
        assert (await front.get(DAY, mine)).headers["x-cache"] == "hit"

        soon = issuer.bearer(1, exp=int(time.time()) + 3)
        await cached(front, DAY, soon)
        await asyncio.sleep(3.1)
        again = await front.get(DAY, soon)
        assert again.headers["x-cache"] == "miss", "what it was given ends with it, whatever its life"


async def test_who_says_what_the_read_is_for_is_not_answered_by_what_was_kept(
    stream: Stream, served: Served, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine = issuer.bearer(1)
    async with fronted(**LONG) as front:
        await cached(front, DAY, mine)
        for _ in range(2):
            assert (await front.get(DAY, mine | {"Folio-Read": "primary"})).headers["x-cache"] == "miss"
        assert (await front.get(DAY, mine | {"Folio-Read": "any"})).headers["x-cache"] == "hit", "says nothing else"


async def test_what_may_be_kept_says_so_and_nothing_else_does(stream: Stream, served: Served, issuer: Issuer) -> None:
    await booked(stream)
    mine, operator = issuer.bearer(1), issuer.bearer(1, roles=["operator"])
    async with served(CDN_PURGE_URL="http://127.0.0.1:1/", **LONG) as origin:
        for path in (DAY, *SEVERAL):
            kept = await origin.get(path, headers=mine)
            assert kept.headers["surrogate-control"] == "max-age=60"
            assert kept.headers["surrogate-key"].startswith("org-1 org-1-property-1 org-1-property-1-")
            assert {"Authorization", "Folio-Read"} <= set(kept.headers["vary"].split(", "))
            known = await origin.get(path, headers=mine | {"If-None-Match": kept.headers["etag"]})
            assert (known.status_code, known.headers["surrogate-control"]) == (304, "max-age=60"), (
                kept.text,
                known.text,
            )
            assert "surrogate-control" not in (await origin.get(path, headers=mine | {"Folio-Read": "primary"})).headers
            assert "surrogate-control" not in (await origin.get(path, headers=issuer.bearer(2))).headers
        history = "/v1/orgs/1/transactions/revenue/1/history"
        recorded = (await origin.get(history, headers=mine)).json()["items"][0]["recorded_at"]
        for path in (
            history,
            "/v1/orgs/1/transactions/revenue/1",
            f"{BASE}/transactions/revenue/{TODAY}",
            f"/v1/orgs/1/overview?day={TODAY}",
            str(httpx.URL(f"{BASE}/balances/{YESTERDAY}/as-of", params={"recorded_at": recorded})),
            "/v1/system/health",
            "/openapi/openapi.json",
            "/livez",
        ):
            answer = await origin.get(path, headers=operator)
            # 409: on a busy machine what was just recorded is not settled yet.
            assert answer.status_code in ({200, 409} if "as-of" in path else {200}), (path, answer.text)
            assert "surrogate-control" not in answer.headers, path
        missing = await origin.get("/v1/orgs/1/properties/99/balances/2026-01-01", headers=mine)
        assert (missing.status_code, "surrogate-control" in missing.headers) == (404, False)
    async with served(**LONG) as alone:
        answer = await alone.get(DAY, headers=mine)
    assert not {"surrogate-control", "surrogate-key"} & set(answer.headers), "nobody would purge it"


async def test_browsers_of_several_origins_each_get_an_answer_that_they_may_read(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine, colleague = issuer.bearer(1), issuer.bearer(1, sub="colleague")
    origins = ["https://a.example", "https://b.example"]
    async with fronted(API_CORS_ORIGINS=",".join(origins), **LONG) as front:
        for headers in (mine, colleague):
            assert "access-control-allow-origin" not in (await cached(front, DAY, headers)).headers
            for origin in origins:
                hit = await cached(front, DAY, headers | {"Origin": origin})
                assert hit.headers["access-control-allow-origin"] == origin
                assert {"Authorization", "Folio-Read", "Origin"} <= set(hit.headers["vary"].split(", "))


async def test_who_has_the_answer_gets_304_from_the_cdn_and_200_once_it_changed(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine = issuer.bearer(1)
    async with fronted(**LONG) as front:
        tag = (await cached(front, DAY, mine)).headers["etag"]
        known = await front.get(DAY, mine | {"If-None-Match": tag})
        assert (known.status_code, known.headers["x-cache"], known.content) == (304, "hit", b"")
        with stream.worker():
            await change(stream, 2, 70)
            await front.until(DAY, mine, bank_received_cents=70)
        assert (await front.get(DAY, mine | {"If-None-Match": tag})).status_code == httpx.codes.OK


async def test_an_operator_purges_an_organisation_a_property_or_ranges_by_tag(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine, theirs = issuer.bearer(1), issuer.bearer(2)
    range_, other = SEVERAL[0], f"/v1/orgs/2/properties/1/balances/{TODAY}"
    async with fronted(**LONG) as front:
        for tag, gone in (("org-1", 2), ("org-1-property-1", 2), ("org-1-property-1-days", 1), ("org-2 org-1", 3)):
            for path, headers in ((DAY, mine), (range_, mine), (other, theirs)):
                await front.get(path, headers)
            purged = await front.purge(tag)
            assert (purged.status_code, purged.headers["x-purged"]) == (200, str(gone)), tag
        await cached(front, DAY, mine)
        assert (await front.purge("org-1", source="127.0.0.2")).status_code == httpx.codes.FORBIDDEN
        assert (await front.get(DAY, mine)).headers["x-cache"] == "hit", "only who may purge does"


async def test_a_cdn_that_is_away_holds_nothing_back_and_its_circuit_opens(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    async with fronted(**LONG) as front:
        front.kill()
        with stream.worker(RESILIENCE_BREAKER_FAILURES="2", RESILIENCE_WORKER_OPEN_SECONDS="3") as worker:
            await change(stream, 2, 70)
            await stream.wait_until_consumed(BOOKED + 1)  # published, and Redis told
            await told(worker, lambda told: told['folio_circuit_transitions_total{part="cdn",state="open"}'] >= 1)
            await told(worker, lambda told: told['folio_cdn_purges_total{outcome="failed"}'] >= 1)
            await told(worker, lambda told: told["folio_cdn_purge_queue_tags"] == 2)
            front.start()
            await cached(front, DAY, issuer.bearer(1))
            await change(stream, 3, 90)
            await front.until(DAY, issuer.bearer(1), seconds=30, bank_received_cents=90)
            await told(worker, lambda told: told['folio_circuit_state{part="cdn"}'] == 0)
            assert await worker.stop() == 0


async def test_what_nobody_purges_is_right_when_its_life_is_over(
    stream: Stream, fronted: Fronted, issuer: Issuer
) -> None:
    await booked(stream)
    mine = issuer.bearer(1)
    async with fronted(CACHE_ACTIVE_TTL_SECONDS="6") as front:
        with stream.worker(CDN_PURGE_URL="http://127.0.0.1:1/") as worker:
            await change(stream, 2, 70)
            await stream.wait_until_consumed(BOOKED + 1)
            began = time.monotonic()
            assert (await cached(front, DAY, mine)).json()["bank_received_cents"] == 70
            await change(stream, 3, 90)
            await stream.wait_until_consumed(BOOKED + 2)
            stale = await front.get(DAY, mine)
            if time.monotonic() < began + 6:
                assert stale.json()["bank_received_cents"] == 70, "nobody has purged it"
            await front.until(DAY, mine, bank_received_cents=90)
            assert time.monotonic() < began + 6 + 5
            assert await worker.stop() == 0


class SlowOrigin:
    """Reads its books when it is asked, and answers when it is let."""

    def __init__(self) -> None:
        self.says = "old"
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of Varnish, and the end of the connection."""
        await reader.readuntil(b"\r\n\r\n")
        said = self.says
        self.asked.set()
        await self.let.wait()
        kept = f"Surrogate-Control: max-age=60\r\nSurrogate-Key: org-1 org-1-property-1 org-1-property-1-{TODAY}"
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n{kept}\r\n\r\n{said}".encode())
        await writer.drain()
        writer.close()


async def test_what_was_read_before_the_commit_and_stored_after_its_purge_is_purged_all_the_same(
    tmp_path: Path,
) -> None:
    origin, port, metrics = SlowOrigin(), choose("varnish", None, (), ()), CdnMetrics()
    server = await asyncio.start_server(origin.serve, HOST, 0)
    settings = CdnSettings(purge_url=f"http://{HOST}:{port}/", again_seconds=1.5)
    guard = new_guard(Part.CDN, ResilienceSettings(), SystemClock(), ResilienceMetrics())
    purges = new_purges(settings, CacheSettings(), guard, SystemClock(), metrics)
    assert purges is not None
    async with server, purges.running():
        with varnish(tmp_path / "varnish", port, backend=server.sockets[0].getsockname()[1]) as front:
            under_way = asyncio.create_task(front.get(DAY, {}))
            await origin.asked.wait()
            origin.says = "new"
            purges.changed({(1, 1): [TODAY]})
            purged = ("folio_cdn_purge_tags_total", {"outcome": "purged"})
            async with asyncio.timeout(1):
                while metrics.registry.get_sample_value(*purged) != 2:
                    await asyncio.sleep(0.01)
            origin.let.set()
            assert (await under_way).text == "old"
            assert (await front.get(DAY, {})).text == "old", "it is kept: the hazard is real"
            async with asyncio.timeout(10):
                while (await front.get(DAY, {})).text != "new":
                    await asyncio.sleep(0.05)


async def test_nothing_is_shown_after_its_life_when_the_server_is_away(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    await booked(stream)
    mine, port = issuer.bearer(1), choose("varnish", None, (), ())
    async with served(CDN_PURGE_URL=f"http://127.0.0.1:{port}/", CACHE_ACTIVE_TTL_SECONDS="3") as origin:
        front = Varnish(stream.folder / "varnish", port, backend=origin.base_url.port or 0)
        front.start()
        asked = time.monotonic()
        kept = await front.get(DAY, mine)
        stored = time.monotonic()
    try:
        again = await front.get(DAY, mine)
        if time.monotonic() < asked + 3:
            assert again.json() == kept.json(), "while it lives nobody misses the server"
        await asyncio.sleep(stored + 3.1 - time.monotonic())
        assert (await front.get(DAY, mine)).status_code == httpx.codes.SERVICE_UNAVAILABLE
    finally:
        front.kill()
