"""A publication waits for a broker that is away: nobody is refused for a restart, and nobody waits for ever."""

import asyncio
import signal
import time
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from pipeline.cache.client import new_redis
from pipeline.settings import RedisSettings
from pipeline.stack import StackConfig
from pipeline.stack.stack import up
from pipeline.stack.temporary import reaped
from pipeline.storage.migrate import migrate
from tests.api.conftest import Servers, servers_of
from tests.api.issuing import Issuer
from tests.api.test_applied import sample
from tests.replicas.cluster import Cluster
from tests.support.events import event
from tests.support.starting import spawned
from tests.support.stream import Stream, new_topics
from tests.support.waiting import until

NOW = datetime.now(UTC)
WAITING: Final = "folio_api_publications_waiting"
# More than are on their way to the broker at once: those behind them find no place, and wait all the same.
_PUBLICATIONS: Final = 400
_WITHOUT_LIMITS: Final = httpx.Limits(max_connections=None)
_ANSWER_SECONDS: Final = 5
# Nobody listens there: refused at once, as by a broker whose process has died.
_AWAY: Final = {"KAFKA_BOOTSTRAP": "127.0.0.1:1", "REALTIME_READY_SECONDS_MAX": "0"}


def writer(issuer: Issuer) -> dict[str, str]:
    return issuer.bearer(1, roles=["writer"])


async def published(
    client: httpx.AsyncClient, issuer: Issuer, body: int | dict[str, Any], **headers: str
) -> httpx.Response:
    """The event, or the transaction of this number."""
    sent = event(body, at=NOW, amount=1) if isinstance(body, int) else body
    return await client.post("/v1/events", headers=writer(issuer) | headers, json=sent, timeout=90)


def refused(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    return (answer.status_code, answer.headers["retry-after"]) == (httpx.codes.SERVICE_UNAVAILABLE, "1")


@pytest.mark.timeout(240)
async def test_while_a_broker_is_restarted_nobody_is_refused_and_all_is_booked_once(
    tmp_path: Path, issuer: Issuer
) -> None:
    config = StackConfig(tmp_path / "stack", {}, preferred_ports={})
    with reaped(config):
        cluster = Cluster(config, await asyncio.to_thread(up, config))
        connection = await asyncpg.connect(cluster.endpoints.database_url)
        await migrate(connection)
        await connection.close()
        stream = Stream(cluster.endpoints, "patience.", 2, tmp_path, start=spawned)
        await new_topics(stream.endpoints, stream.prefix, stream.lanes)
        async with (
            servers_of(stream, issuer)(API_PUBLISH_PATIENCE_SECONDS="60") as server,
            httpx.AsyncClient(base_url=server.client.base_url, limits=_WITHOUT_LIMITS) as crowd,
        ):
            assert (await published(server.client, issuer, 1)).status_code == httpx.codes.ACCEPTED
            cluster.kill("kafka")
            waiting = [asyncio.create_task(published(crowd, issuer, n)) for n in range(2, _PUBLICATIONS + 1)]
            twin = event(_PUBLICATIONS + 1, at=NOW)
            key = {"Idempotency-Key": "twins"}
            twins = [asyncio.create_task(published(crowd, issuer, twin, **key)) for _ in range(5)]
            # Longer than an attempt, than the wait for a place, and than the patience with a producer.
            await asyncio.sleep(12)
            assert not any(each.done() for each in waiting)
            assert await sample(server.client, issuer, WAITING) == _PUBLICATIONS
            tries = await sample(server.client, issuer, 'folio_guarded_calls_total{evidence="away",part="kafka"}')
            assert tries < _PUBLICATIONS, "few are tried again: the others ask the circuit"
            await cluster.mended()
            back_at = time.monotonic()
            answers = await asyncio.gather(*waiting)
            assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
            assert time.monotonic() - back_at < 15, "they need not wait for what is there"
            told = await asyncio.gather(*twins)
            assert {answer.content for answer in told} == {told[0].content}, "one was published, and all of them heard"
            assert await sample(server.client, issuer, WAITING) == 0
        with stream.worker() as worker:
            await stream.wait_until_consumed(await stream.published())
            await worker.stop()
        booked = await stream.outcomes()
        assert booked["applied"] == _PUBLICATIONS + 1
        assert booked["stale"] + booked["conflict"] + booked["quarantined"] == 0
        assert (await stream.prove()).differences == ()


async def test_who_has_no_patience_is_refused_at_once(servers: Servers, issuer: Issuer) -> None:
    async with servers(API_PUBLISH_PATIENCE_SECONDS="0", **_AWAY) as server:
        began = time.monotonic()
        assert refused(await published(server.client, issuer, 1))
        assert time.monotonic() - began < 1


async def test_a_patience_has_an_end(servers: Servers, issuer: Issuer) -> None:
    async with servers(API_PUBLISH_PATIENCE_SECONDS="2", **_AWAY) as server:
        began = time.monotonic()
        assert all(
            refused(each) for each in await asyncio.gather(*(published(server.client, issuer, n) for n in range(1, 21)))
        )
        assert 2 <= time.monotonic() - began < 2 + _ANSWER_SECONDS
        assert await sample(server.client, issuer, WAITING) == 0


async def test_one_more_than_may_wait_is_refused_at_once(servers: Servers, issuer: Issuer) -> None:
    async with servers(API_PUBLISH_PATIENCE_SECONDS="60", API_PUBLISH_WAITING_MAX="2", **_AWAY) as server:
        waiting = [asyncio.create_task(published(server.client, issuer, number)) for number in (1, 2)]

        async def both_wait() -> bool:
            return await sample(server.client, issuer, WAITING) == 2

        await until(both_wait)
        began = time.monotonic()
        assert refused(await published(server.client, issuer, 3))
        assert time.monotonic() - began < 1
        assert await sample(server.client, issuer, 'folio_api_refused_total{reason="broker_waiting"}') == 1
        assert not any(each.done() for each in waiting)
        for each in waiting:  # whoever hangs up leaves a place
            each.cancel()

        async def nobody_waits() -> bool:
            return await sample(server.client, issuer, WAITING) == 0

        await until(nobody_waits)


async def test_a_process_that_ends_refuses_whoever_waits(servers: Servers, issuer: Issuer) -> None:
    """Its clients hear it, and come to another process; nobody is cut off at the end of the grace."""
    async with servers(
        API_PUBLISH_PATIENCE_SECONDS="60", API_SHUTDOWN_GRACE_SECONDS="10", RESILIENCE_BREAKER_FAILURES="1000", **_AWAY
    ) as server:
        waiting = [asyncio.create_task(published(server.client, issuer, number)) for number in range(1, 21)]

        async def all_wait() -> bool:
            return await sample(server.client, issuer, WAITING) == len(waiting)

        await until(all_wait)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert all(refused(each) for each in await asyncio.gather(*waiting))
        assert await server.ended() == 0, server.log.read_text()
        assert time.monotonic() - began < 8


async def test_a_key_is_held_for_as_long_as_its_request_may_wait(
    servers: Servers, issuer: Issuer, stream: Stream
) -> None:
    """Else a twin would take it, and publish beside the first one."""
    async with (
        servers(API_PUBLISH_PATIENCE_SECONDS="300", **_AWAY) as server,
        aclosing(new_redis(stream.endpoints.redis_url, RedisSettings())) as redis,
    ):
        first = asyncio.create_task(published(server.client, issuer, 1, **{"Idempotency-Key": "patient"}))

        async def is_held() -> bool:
            held = [await redis.ttl(name) async for name in redis.scan_iter("folio:idempotency:*")]
            return any(300 + _ANSWER_SECONDS < seconds < 400 for seconds in held)

        await until(is_held)
        first.cancel()
