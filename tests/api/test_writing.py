"""Events that are published over HTTP are booked as those from Kafka are, each once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.support.events import event
from tests.support.stream import Stream

NOW = datetime.now(UTC)


def may_write(issuer: Issuer, *orgs: int) -> dict[str, str]:
    return issuer.bearer(*orgs, roles=["reader", "writer"])


async def test_what_is_acknowledged_is_booked(stream: Stream, served: Served, issuer: Issuer) -> None:
    one = event(1, at=NOW, amount=100, note="kept as it came")
    many = [event(number, org=number % 2 + 1, at=NOW, amount=number) for number in range(2, 40)]
    async with served() as client:
        mine = may_write(issuer, 1, 2)
        answers = [await client.post("/v1/events", headers=mine, json=body) for body in (one, many, many)]
        assert [answer.status_code for answer in answers] == [202] * 3, answers[0].text
        placed = answers[1].json()["events"]
        assert [each["event_id"] for each in placed] == [each["event_id"] for each in many]
        with stream.worker() as worker:
            await stream.wait_until_consumed(1 + 2 * len(many))
            await worker.stop()
        assert await stream.outcomes() == {"applied": 39, "duplicate": 38, "stale": 0, "conflict": 0, "quarantined": 0}
        history = await client.get("/v1/orgs/1/transactions/revenue/1/history", headers=mine)
    assert history.json()["items"][0]["record"]["data"]["note"] == "kept as it came"
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT lane, record_offset, event_id FROM event_store.events")
    stored = {str(row["event_id"]): (row["lane"], row["record_offset"]) for row in rows}
    assert {each["event_id"]: (each["partition"], each["offset"]) for each in placed}.items() <= stored.items()
    assert (await stream.prove()).differences == ()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 422, "malformed"),
        (b"no event", 422, "malformed"),
        (b"[1, 2", 400, "neither an event nor a list"),
        (b"[]", 400, "1 to 1,000 events"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "neither an event nor a list"),
        (b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 422, "malformed"),
        (json.dumps([event(1, at=NOW)] * 1_001).encode(), 400, "not of 1,001"),
        (json.dumps([event(1, at=NOW), event(2, at=NOW, amount=-5)]).encode(), 422, "schema"),
        (json.dumps(event(1, at=NOW + timedelta(days=30))).encode(), 422, "time_out_of_bounds"),
        (json.dumps(event(1, at=NOW, org=3)).encode(), 403, "organisation 3"),
        (json.dumps([event(1, at=NOW, org=1), event(1, at=NOW, org=3)]).encode(), 403, "organisation 3"),
    ],
)
async def test_what_is_refused_leaves_nothing_in_the_topic(
    stream: Stream, served: Served, issuer: Issuer, body: bytes, status: int, says: str
) -> None:
    async with served() as client:
        answer = await client.post("/v1/events", headers=may_write(issuer, 1), content=body)
        told: dict[str, Any] = answer.json()
        assert (answer.status_code, told["status"]) == (status, status), told
        assert says in json.dumps(told)
        good = await client.post("/v1/events", headers=may_write(issuer, 1), json=event(5, at=NOW))
    assert good.json()["events"][0]["offset"] == 0


async def test_who_may_not_write(served: Served, issuer: Issuer) -> None:
    async with served() as client:
        for headers, status in (({}, httpx.codes.UNAUTHORIZED), (issuer.bearer(1), httpx.codes.FORBIDDEN)):
            for body in (event(1, at=NOW), event(1, at=NOW, amount=-1)):  # nor hears what would be wrong with it
                assert (await client.post("/v1/events", headers=headers, json=body)).status_code == status


async def test_a_body_beyond_the_bound_is_not_read(served: Served, issuer: Issuer) -> None:
    async with served(API_BODY_BYTES_MAX="2048") as client:
        answer = await client.post("/v1/events", headers=may_write(issuer, 1), content=b"[" + b" " * 4096 + b"]")
    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_the_same_request_gets_the_first_answer_again(stream: Stream, served: Served, issuer: Issuer) -> None:
    mine, body = may_write(issuer, 1), event(1, at=NOW)
    async with served() as client, served() as other:
        first = await client.post("/v1/events", headers=mine | {"Idempotency-Key": "a"}, json=body)
        again = await other.post("/v1/events", headers=mine | {"Idempotency-Key": "a"}, json=body)
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        changed = await client.post("/v1/events", headers=mine | {"Idempotency-Key": "a"}, json=event(2, at=NOW))
        assert (changed.status_code, changed.json()["title"]) == (422, "Key used before")
        others = issuer.bearer(1, roles=["writer"], sub="8") | {"Idempotency-Key": "a"}
        assert (await client.post("/v1/events", headers=others, json=body)).json()["events"][0]["offset"] == 1


async def test_twins_wait_for_the_one_that_came_first(served: Served, issuer: Issuer) -> None:
    headers, body = may_write(issuer, 1) | {"Idempotency-Key": "twins"}, event(1, at=NOW)
    async with served() as client:
        answers = await asyncio.gather(*(client.post("/v1/events", headers=headers, json=body) for _ in range(20)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1


async def test_a_refusal_is_not_remembered(served: Served, issuer: Issuer) -> None:
    headers = may_write(issuer, 1) | {"Idempotency-Key": "b"}
    async with served() as client:
        refused = await client.post("/v1/events", headers=headers, json=event(1, at=NOW, amount=-1))
        mended = await client.post("/v1/events", headers=headers, json=event(1, at=NOW))
    assert (refused.status_code, mended.status_code) == (422, 202)


async def test_without_redis_events_are_accepted_all_the_same(served: Served, issuer: Issuer) -> None:
    headers = may_write(issuer, 1) | {"Idempotency-Key": "c"}
    async with served(REDIS_URL="redis://127.0.0.1:1/0") as client:
        answers = [await client.post("/v1/events", headers=headers, json=event(1, at=NOW)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["events"][0]["offset"] for answer in answers] == [0, 1]
