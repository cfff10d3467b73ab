"""The task that purges, its client and its guard, against a server that answers, refuses, hangs or is not there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from batchers.outbox import OutboxRow
from batchers.purger import Purger
from pipeline.cdn.client import CdnClient
from pipeline.cdn.metrics import CdnMetrics
from pipeline.cdn.opening import new_purges
from pipeline.cdn.purges import Purges
from pipeline.clock import SystemClock
from pipeline.errors import CdnUnavailable
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings_serving import CacheSettings, CdnSettings, ResilienceSettings
from schemas.updates import encode_update
from tests.batchers.test_invalidator import D1, update
from tests.cdn.cdn_server import Cdn, serving


@pytest.fixture
async def cdn() -> AsyncIterator[Cdn]:
    async with serving() as served:
        yield served


@asynccontextmanager
async def running(cdn: Cdn, **settings: float) -> AsyncIterator[tuple[Purges, CdnMetrics]]:
    """With quick pauses, and a circuit that opens for a quarter of a second."""
    own = CdnSettings.model_validate({"purge_url": cdn.url, "timeout_seconds": 5, "again_seconds": 60} | settings)
    resilience = ResilienceSettings(breaker_open_seconds=0.25, breaker_failures=2)
    metrics = CdnMetrics()
    guard = new_guard(Part.CDN, resilience, SystemClock(), ResilienceMetrics(metrics.registry))
    purges = new_purges(own, CacheSettings(), guard, SystemClock(), metrics)
    assert purges is not None
    async with purges.running():
        yield purges, metrics


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def count(metrics: CdnMetrics, name: str, outcome: str) -> float:
    return metrics.registry.get_sample_value(f"folio_cdn_{name}_total", {"outcome": outcome}) or 0.0


def circuit(metrics: CdnMetrics, state: str) -> float:
    named = {"part": "cdn", "state": state}
    return metrics.registry.get_sample_value("folio_circuit_transitions_total", named) or 0.0


def test_without_an_address_there_is_no_cdn() -> None:
    metrics = CdnMetrics()
    guard = new_guard(Part.CDN, ResilienceSettings(), SystemClock(), ResilienceMetrics())
    assert new_purges(CdnSettings(), CacheSettings(), guard, SystemClock(), metrics) is None


async def test_what_a_batch_changed_is_purged_each_day_once(cdn: Cdn) -> None:
    updates = [update(1, 1, D1, 4), update(1, 1, D1, 5), update(2, 3, D1, 1)]
    row = OutboxRow(0, 1, [encode_update(each) for each in updates], UUID(int=1))
    async with running(cdn) as (purges, metrics):
        await Purger(purges).purge([row, OutboxRow(0, 2, [], UUID(int=2))])
        await until(lambda: count(metrics, "purge_tags", "purged") == 4)
    wanted = {
        *("org-1-property-1-2026-03-10", "org-1-property-1-days"),
        *("org-2-property-3-2026-03-10", "org-2-property-3-days"),
    }
    assert [set(tags) for tags in cdn.asked] == [wanted, wanted], "the second time at the end, at the latest"
    assert metrics.registry.get_sample_value("folio_cdn_purge_seconds_count") == 4


async def test_a_request_has_so_many_tags_at_most(cdn: Cdn) -> None:
    async with running(cdn, request_tags_max=5) as (purges, metrics):
        purges.changed({(1, 1): [D1 + timedelta(days=n) for n in range(11)]})
        await until(lambda: count(metrics, "purge_tags", "purged") == 12)
        assert [len(tags) for tags in cdn.asked] == [5, 5, 2]
        assert count(metrics, "purges", "purged") == 3


async def test_it_is_purged_once_more_a_little_later(cdn: Cdn) -> None:
    async with running(cdn, again_seconds=0.3) as (purges, metrics):
        purges.changed({(1, 1): [D1]})
        await until(lambda: len(cdn.asked) == 2)
        assert (count(metrics, "purge_tags", "purged"), cdn.asked[0]) == (2, cdn.asked[1])
    assert len(cdn.asked) == 2


@pytest.mark.parametrize("status", [0, 403, 500])
async def test_a_cdn_that_hangs_or_refuses_opens_its_circuit_and_is_asked_again_until_it_answers(
    cdn: Cdn, status: int
) -> None:
    cdn.status = status
    async with running(cdn, timeout_seconds=0.2) as (purges, metrics):
        purges.changed({(1, 1): [D1]})
        await until(lambda: circuit(metrics, "open") >= 1 and count(metrics, "purges", "failed") >= 1)
        purges.changed({(1, 2): [D1]})
        cdn.status = 200
        await until(lambda: count(metrics, "purge_tags", "purged") == 4)
        assert count(metrics, "purge_tags", "lost") == 0
        assert circuit(metrics, "closed") == 1
    assert "org-1-property-1-days" in cdn.asked[-1], "what failed goes first when it is back"


async def test_what_too_many_wait_for_is_counted_and_nobody_waits_for_it(cdn: Cdn) -> None:
    cdn.status = 0
    async with running(cdn, waiting_tags_max=10, timeout_seconds=0.2) as (purges, metrics):
        for property_id in range(1_000):
            purges.changed({(1, property_id): [D1]})
        await until(lambda: count(metrics, "purge_tags", "lost") >= 1_990)
        assert (metrics.registry.get_sample_value("folio_cdn_purge_queue_tags") or 0) <= 20, "and as many asked for"


async def test_the_end_waits_for_what_waits_and_what_is_asked_for_but_not_for_ever(cdn: Cdn) -> None:
    cdn.seconds = 0.3
    async with running(cdn) as (purges, metrics):
        purges.changed({(1, 1): [D1]})
    assert (count(metrics, "purge_tags", "purged"), count(metrics, "purge_tags", "again")) == (2, 2)
    assert cdn.asked == [["org-1-property-1-days", "org-1-property-1-2026-03-10"]] * 2
    cdn.status = 0
    async with asyncio.timeout(4):
        async with running(cdn, timeout_seconds=30) as (purges, _):
            purges.changed({(1, 1): [D1]})


async def test_an_error_within_ends_it_at_once_and_comes_out_as_it_is(cdn: Cdn) -> None:
    cdn.status = 0
    async with asyncio.timeout(1):
        with pytest.raises(ZeroDivisionError):
            async with running(cdn) as (purges, _):
                purges.changed({(1, 1 // 0): [D1]})


async def test_what_the_client_meets_is_named(cdn: Cdn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # of the environment, and not for us
    client = CdnClient(cdn.url, CdnSettings(timeout_seconds=0.2))
    try:
        await client.purge(["a", "b"])
        assert cdn.asked == [["a", "b"]]
        cdn.status = 403
        with pytest.raises(CdnUnavailable, match=r"403.*ACL"):
            await client.purge(["a"])
        cdn.status = 0
        with pytest.raises(CdnUnavailable, match="Timeout"):
            await client.purge(["a"])
    finally:
        await client.close()
    nowhere = CdnClient("http://127.0.0.1:1/", CdnSettings())
    try:
        with pytest.raises(CdnUnavailable, match="ConnectError"):
            await nowhere.purge(["a"])
    finally:
        await nowhere.close()
