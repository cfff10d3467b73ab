"""One document of everything: its figures are SQL's and the broker's, and who is away takes nothing else along."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
from prometheus_client import CollectorRegistry

from pipeline.api.overview.opening import open_overview
from pipeline.api.overview.strip import strip
from pipeline.api.overview.topics import TopicsRead
from pipeline.demo import prepare
from pipeline.settings import Settings
from pipeline.stack import Endpoints, StackConfig
from pipeline.stack.stack import up
from pipeline.status import FeedStatus
from pipeline.storage.replicas.opening import open_readers
from schemas.topics import Feed
from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.simulator.test_broker_trouble import kill_kafka, own_stack
from tests.support.events import encoded, event
from tests.support.stream import Stream
from tests.support.waiting import until

__all__ = ["own_stack"]  # a fixture

PATH = "/v1/system/status"
OUTCOMES = ("applied", "duplicate", "stale", "conflict", "quarantined")


async def ask(client: httpx.AsyncClient, issuer: Issuer) -> dict[str, Any]:
    answer = await client.get(PATH, headers=issuer.bearer(roles=["operator"]))
    assert answer.status_code == httpx.codes.OK, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_the_figures_are_those_of_sql_and_the_broker(served: Served, issuer: Issuer, stream: Stream) -> None:
    events = [(b"1", encoded(event(n))) for n in range(1, 41)]
    async with served() as client:
        with stream.worker():
            await stream.send([*events, *events[:3], (b"1", b"no event"), (b"2", b"{}")])
            await stream.wait_until_consumed(45)
            found = await ask(client, issuer)
        async with stream.database() as connection:
            rows = await connection.fetch("SELECT * FROM ops.lanes ORDER BY lane")
            reasons = await connection.fetch("SELECT reason, count(*) FROM ops.dead_letters GROUP BY reason")
            newest = await connection.fetch(
                "SELECT topic || '/' || lane || '/' || record_offset FROM ops.dead_letters "
                "ORDER BY recorded_at DESC, topic DESC, lane DESC, record_offset DESC"
            )
        await stream.send(events[:2])  # nobody is there to consume them
        waiting = await again(client, issuer, found)
    counted = found["counted"]
    assert {name: counted[name] for name in OUTCOMES} == {name: sum(row[name] for row in rows) for name in OUTCOMES}
    assert counted["consumed"] == 45
    assert counted["batches"] == sum(row["batches"] for row in rows)
    assert [lane["owner"] for lane in counted["lanes"]] == [row["owner"] for row in rows]
    strip_ = found["strip"]
    assert (strip_["produced"], strip_["stored"], strip_["counted"]) == (45, 45, 45)
    assert (strip_["stored_apart"], strip_["counted_apart"]) == (0, 0)
    assert found["lag"]["records"] == 0
    assert {each["reason"]: each["letters"] for each in found["dead_letters"]["reasons"]} == {
        row[0]: row[1] for row in reasons
    }
    assert [each["place"] for each in found["dead_letters"]["newest"]] == [row[0] for row in newest]
    assert [each["table"] for each in found["partitions"]] == [
        "finance.revenues_partitioned",
        "finance.expenses_partitioned",
        "event_store.events",
    ]
    assert all(each["days"] > 28 and not each["problems"] for each in found["partitions"])
    assert [each["condition"] for each in found["servers"]] == ["well"]
    assert (waiting["lag"]["records"], waiting["strip"]["stored_apart"]) == (2, 2)
    assert waiting["lag"]["oldest_seconds"] > 0
    assert waiting["process"] == found["process"]
    assert waiting["counted"]["read_at_seconds"] > counted["read_at_seconds"]


async def test_all_who_watch_share_a_reading_a_second(served: Served, issuer: Issuer) -> None:
    async with served() as client:
        documents = await asyncio.gather(*(ask(client, issuer) for _ in range(20)))
        later = await again(client, issuer, documents[0])
    assert len({each["at"] for each in documents}) == 1
    assert later["at"] > documents[0]["at"]


async def test_it_is_told_without_a_broker(own_stack: tuple[Endpoints, StackConfig]) -> None:
    """With one that is killed, and is back a moment later."""
    endpoints, config = own_stack
    settings = Settings()
    await prepare(settings, endpoints)
    async with (
        open_readers(settings, endpoints) as readers,
        open_overview(settings, endpoints, readers, CollectorRegistry(), lambda: {0: 0}) as overview,
    ):
        assert (await overview.status()).lag is not None
        kill_kafka(config)
        began = time.monotonic()
        await asyncio.sleep(1)
        without = await overview.status()
        assert time.monotonic() - began < 5, "it is bounded in time"
        await asyncio.to_thread(up, config)

        async def back() -> bool:
            return (await overview.status()).lag is not None

        await until(back, 30)
    assert without.lag is None
    assert without.missing["lag"] == without.missing["topics"]
    assert (without.strip.produced, without.strip.delivered_apart) == (None, None)
    assert without.counted is not None, "the database is there, and says what it can"
    assert without.partitions is not None


async def test_it_is_answered_without_a_database(
    served: Served, issuer: Issuer, stream: Stream, stack: Endpoints
) -> None:
    refused = "not currently accepting connections"
    name = urlsplit(stream.endpoints.database_url).path.removeprefix("/")
    async with served() as client:
        assert (await ask(client, issuer))["counted"] is not None
        connection = await asyncpg.connect(stack.database_url)
        try:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 ",
                name,
            )
            without = await until_told(client, issuer, lambda found: refused in found["missing"].get("counted", ""))
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        finally:
            await connection.close()
        back = await until_told(client, issuer, lambda found: found["counted"] is not None)
    assert without["strip"]["published"] == 0, "the broker is there, and says what it can"
    assert without["strip"]["produced"] is None
    assert without["strip"]["stored_apart"] is None
    assert without["counted"] is None
    assert without["missing"]["lag"] == without["missing"]["counted"]
    assert back["strip"]["stored_apart"] == 0
    assert "counted" not in back["missing"]


async def test_a_login_without_the_rights_of_an_operator_is_told_which_are_missing(
    served: Served, issuer: Issuer, stream: Stream
) -> None:
    login = f"status_reader_{os.getpid()}"
    async with stream.database() as connection:
        await connection.execute(f"CREATE ROLE {login} LOGIN IN ROLE folio_reader")
        try:
            url = stream.endpoints.database_url.replace("postgresql://folio@", f"postgresql://{login}@")
            async with served(DATABASE_URL=url) as client:
                found = await ask(client, issuer)
                balance = await client.get("/v1/orgs/1/overview?day=2026-03-10", headers=issuer.bearer(1))
        finally:
            await connection.execute(f"DROP ROLE {login}")
    assert balance.status_code == httpx.codes.OK, "all else is served"
    assert (found["counted"], found["dead_letters"]) == (None, None)
    assert found["strip"]["published"] is not None
    assert "permission denied" in found["missing"]["counted"]
    assert "folio_operator" in found["missing"]["counted"]


async def test_nobody_else_sees_it(served: Served, issuer: Issuer) -> None:
    async with served() as client:
        assert (await client.get(PATH)).status_code == httpx.codes.UNAUTHORIZED
        everything_else = issuer.bearer(1, roles=["reader", "writer"])
        assert (await client.get(PATH, headers=everything_else)).status_code == httpx.codes.FORBIDDEN


def feed(position: int, end: int, passed_over: int = 0) -> dict[Feed, FeedStatus]:
    return {Feed.EVENTS: FeedStatus(position, end, 0.0, passed_over), Feed.CORRECTIONS: FeedStatus(0, 0, 0.0)}


def test_differences_never_make_up_for_each_other() -> None:
    behind_and_ahead = TopicsRead({0: 10, 1: 10}, {0: feed(5, 8), 1: feed(8, 5)})
    found = strip(None, behind_and_ahead, {0: 13, 1: 7})
    assert found.produced == found.stored == 13
    assert found.stored_apart == 6
    assert found.published == found.delivered == 20
    assert found.delivered_apart == 6


def test_what_is_not_known_agrees_with_nothing() -> None:
    assert strip(None, None, {0: 1}).delivered_apart is None
    assert strip(None, TopicsRead({0: 1}, None), None).delivered_apart is None
    assert strip(None, TopicsRead({0: 1, 1: 0}, None), {0: 1}).delivered_apart is None, "one has partitions that lack"
    assert strip(None, TopicsRead({0: 1}, {0: feed(1, 3, passed_over=2)}), None).stored_apart == 0, "marks, no records"
    assert strip(None, TopicsRead({0: 1}, {0: feed(1, 1)}), None).counted_apart is None


async def again(client: httpx.AsyncClient, issuer: Issuer, before: dict[str, Any]) -> dict[str, Any]:
    """The next reading."""
    return await until_told(client, issuer, lambda found: found["at"] != before["at"])


async def until_told(
    client: httpx.AsyncClient, issuer: Issuer, holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def told() -> bool:
        nonlocal found
        await asyncio.sleep(0.1)
        found = await ask(client, issuer)
        return holds(found)

    await until(told, 20)
    return found
