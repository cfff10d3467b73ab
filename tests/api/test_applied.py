"""Who waits for the stream hears what became of each event, and the balance; who hangs up leaves nothing waiting."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.support.events import event
from tests.support.stream import Stream

NOW = datetime.now(UTC)
APPLIED = "/v1/events?wait=applied"


def may_write(issuer: Issuer, *orgs: int, **changed: Any) -> dict[str, str]:
    return issuer.bearer(*orgs, roles=["reader", "writer"], **changed)


async def sample(client: httpx.AsyncClient, issuer: Issuer, name: str) -> float:
    page = (await client.get("/v1/system/metrics/prometheus", headers=issuer.bearer(roles=["operator"]))).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_each_event_is_answered_with_what_became_of_it(stream: Stream, served: Served, issuer: Issuer) -> None:
    mine = may_write(issuer, 1)
    with stream.worker() as worker:
        async with served() as client:

            async def post(*events: dict[str, Any]) -> list[dict[str, Any]]:
                answer = await client.post(APPLIED, headers=mine, json=list(events))
                assert answer.status_code == httpx.codes.OK, answer.text
                told: list[dict[str, Any]] = answer.json()["events"]
                assert [each["event_id"] for each in told] == [each["event_id"] for each in events]
                return told

            first, third = event(1, at=NOW, amount=100), event(1, 3, at=NOW, amount=300)
            (applied,) = await post(first)
            assert (applied["outcome"], applied["balance"]["closing_balance_cents"]) == ("applied", 100)
            assert applied["balance"]["version"] == 1
            told = await post(first, third, event(1, 2, at=NOW), event(1, 3, at=NOW, amount=7), event(2, at=NOW))
            assert [each["outcome"] for each in told] == ["duplicate", "applied", "stale", "conflict", "applied"]
            assert {each["balance"]["closing_balance_cents"] for each in told} == {400}
            assert (told[3]["reason"], "another body" in told[3]["detail"]) == ("version_conflict", True)
            day = applied["balance"]["balance_date"]
            balance = await client.get(f"/v1/orgs/1/properties/1/balances/{day}", headers=mine)
            assert balance.json() == told[0]["balance"]
        await worker.stop()
    assert await stream.outcomes() == {"applied": 3, "duplicate": 1, "stale": 1, "conflict": 1, "quarantined": 0}


async def test_what_only_the_stream_refuses_is_told_with_its_reason(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    """Of these nobody but the books can tell: another currency than the property's, and a paused organisation."""
    with stream.worker() as worker:
        async with served() as client:
            mine = may_write(issuer, 1, 2)
            await client.post(APPLIED, headers=mine, json=[event(1, at=NOW, currency="INR"), event(9, at=NOW, org=2)])
            euros = event(2, at=NOW, amount=5, currency="EUR")
            answer = await client.post(APPLIED, headers=mine, json=[euros, event(1, at=NOW, org=2, amount=40)])
            refused, applied = answer.json()["events"]
            assert (refused["outcome"], refused["reason"]) == ("quarantined", "currency_mismatch")
            assert (refused["balance"], "EUR" in refused["detail"]) == (None, True)
            assert (applied["outcome"], applied["balance"]["closing_balance_cents"]) == ("applied", 140)
            assert stream.folio("pause", "org", "1", "--reason", "a test").returncode == 0
            answer = await client.post(APPLIED, headers=mine, json=event(3, at=NOW))
            (paused,) = answer.json()["events"]
            assert (paused["outcome"], paused["reason"]) == ("quarantined", "org_paused")
        await worker.stop()


async def test_a_day_on_which_nothing_moved_closes_as_the_one_before(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    """A day without a row has version 0, as in a read of it; without any row there is no balance."""
    with stream.worker() as worker:
        async with served() as client:
            mine = may_write(issuer, 1)
            pending, before = (
                event(1, at=NOW, status="pending", amount=70),
                event(2, at=NOW - timedelta(days=9), amount=50),
            )
            bodies = []
            for body in (pending, before, pending):
                answer = await client.post(APPLIED, headers=mine, json=body)
                (told,) = answer.json()["events"]
                bodies.append((told["outcome"], told["balance"]))
            (first, nothing), (_, moved), (again, balance) = bodies
            assert (first, nothing, again) == ("applied", None, "duplicate")
            assert (moved["version"], moved["closing_balance_cents"]) == (1, 50)
            assert (balance["version"], balance["closing_balance_cents"]) == (0, 50)
            day = await client.get(f"/v1/orgs/1/properties/1/balances/{balance['balance_date']}", headers=mine)
            assert day.json() == balance
        await worker.stop()


async def test_nobody_hears_more_than_his_token_allows(stream: Stream, served: Served, issuer: Issuer) -> None:
    with stream.worker() as worker:
        async with served() as client:
            answer = await client.post(APPLIED, headers=issuer.bearer(1, roles=["writer"]), json=event(1, at=NOW))
            (told,) = answer.json()["events"]
            assert (told["outcome"], told["balance"]) == ("applied", None), "who writes only sees no balance"
            foreign = await client.post(APPLIED, headers=may_write(issuer, 1), json=event(1, at=NOW, org=2))
            assert foreign.status_code == httpx.codes.FORBIDDEN
            wrong = await client.post("/v1/events?wait=booked", headers=may_write(issuer, 1), json=event(1, at=NOW))
            assert wrong.status_code == httpx.codes.BAD_REQUEST
        await worker.stop()


async def test_without_a_worker_it_is_accepted_after_the_bound(stream: Stream, served: Served, issuer: Issuer) -> None:
    mine, body = may_write(issuer, 1) | {"Idempotency-Key": "k"}, event(1, at=NOW, amount=100)
    async with served(API_APPLIED_WAIT_SECONDS="0.5") as client:
        began = time.monotonic()
        first = await client.post(APPLIED, headers=mine, json=body)
        assert 0.5 <= time.monotonic() - began < 3
        assert (first.status_code, first.headers["retry-after"]) == (202, "5")
        (placed,) = first.json()["events"]
        assert placed["event_id"] == body["event_id"]
        assert "not yet applied" in first.json()["detail"]
        with stream.worker() as worker:
            await stream.wait_until_consumed(1)
            again = await client.post(APPLIED, headers=mine, json=body)
            assert (again.status_code, again.content) == (202, first.content), "the first answer, byte for byte"
            assert (again.headers["retry-after"], again.headers["idempotent-replayed"]) == ("5", "true")
            plain = await client.post("/v1/events", headers=mine, json=body)
            assert plain.status_code == httpx.codes.UNPROCESSABLE_ENTITY, "that is another request"
            other = mine | {"Idempotency-Key": "l"}
            applied = [await client.post(APPLIED, headers=other, json=body) for _ in range(2)]
            assert [answer.status_code for answer in applied] == [200, 200]
            assert applied[1].content == applied[0].content
            assert applied[0].json()["events"][0]["outcome"] == "duplicate"
            await worker.stop()


async def test_the_mark_reads_what_was_written(stream: Stream, served: Served, issuer: Issuer) -> None:
    with stream.worker() as worker:
        async with served() as client:
            mine = may_write(issuer, 1)
            answer = (await client.post(APPLIED, headers=mine, json=event(1, at=NOW, amount=100))).json()
            day = answer["events"][0]["balance"]["balance_date"]
            path = f"/v1/orgs/1/properties/1/balances/{day}"
            read = await client.get(path, headers=mine | {"Folio-Read": f"after={answer['mark']}"})
            assert read.json() == answer["events"][0]["balance"]
        await worker.stop()
    async with stream.database() as connection:
        epoch, position = answer["mark"].split(":")
        newest = await connection.fetchrow(
            "SELECT system_identifier::text AS epoch, pg_current_wal_lsn() - '0/0'::pg_lsn AS lsn "
            "FROM pg_control_system()"
        )
    assert newest is not None
    assert epoch.startswith(f"{newest['epoch']}-")
    assert 0 < int(position) <= newest["lsn"]


async def test_many_wait_on_few_looks(stream: Stream, served: Served, issuer: Issuer) -> None:
    with stream.worker() as worker:
        async with served() as client:
            mine = may_write(issuer, *range(1, 11))
            bodies = [event(number, at=NOW, org=number % 10 + 1, amount=1) for number in range(1, 301)]
            before = await sample(client, issuer, 'folio_reads_total{intent="write",server="primary"}')
            async with httpx.AsyncClient(
                base_url=client.base_url, timeout=30, limits=httpx.Limits(max_connections=300)
            ) as many:
                answers = await asyncio.gather(*(many.post(APPLIED, headers=mine, json=body) for body in bodies))
            assert {answer.status_code for answer in answers} == {200}
            told = [answer.json()["events"][0] for answer in answers]
            assert [each["event_id"] for each in told] == [body["event_id"] for body in bodies]
            assert {each["outcome"] for each in told} == {"applied"}
            looks = await sample(client, issuer, "folio_api_applied_looks_total")
            asked = await sample(client, issuer, 'folio_reads_total{intent="write",server="primary"}') - before
            assert asked <= 300 + looks + 1
            assert await sample(client, issuer, "folio_api_applied_waiting") == 0
            assert await sample(client, issuer, "folio_api_applied_seconds_count") == 300
            await asyncio.sleep(0.2)
            assert await sample(client, issuer, "folio_api_applied_looks_total") == looks, "nobody waits: nobody looks"
        await worker.stop()


async def test_as_many_as_may_wait_and_one_is_refused_before_anything_is_sent(
    stream: Stream, served: Served, issuer: Issuer
) -> None:
    async with served(API_APPLIED_WAITING_MAX="1", API_APPLIED_WAIT_SECONDS="2") as client:
        mine = may_write(issuer, 1)
        first = asyncio.create_task(client.post(APPLIED, headers=mine, json=event(1, at=NOW)))
        while await sample(client, issuer, "folio_api_applied_waiting") == 0:
            await asyncio.sleep(0.01)
        refused = await client.post(APPLIED, headers=mine, json=event(2, at=NOW))
        assert (refused.status_code, refused.json()["title"]) == (503, "Overloaded")
        assert "retry-after" in refused.headers
        without = await client.post("/v1/events", headers=mine, json=event(3, at=NOW))
        assert without.json()["events"][0]["offset"] == 1, "what was refused is not in the topic"
        assert (await first).status_code == httpx.codes.ACCEPTED
        assert await sample(client, issuer, 'folio_api_refused_total{reason="waiting"}') == 1


async def test_who_hangs_up_leaves_nothing_waiting(stream: Stream, served: Served, issuer: Issuer) -> None:
    async with served(API_APPLIED_WAIT_SECONDS="20") as client:
        mine, body = may_write(issuer, 1) | {"Idempotency-Key": "left"}, event(1, at=NOW)
        async with httpx.AsyncClient(base_url=client.base_url) as leaving:
            for number in range(5):
                with pytest.raises(httpx.ReadTimeout):
                    await leaving.post(
                        APPLIED, headers=may_write(issuer, 1), json=event(2 + number, at=NOW), timeout=0.3
                    )
            with pytest.raises(httpx.ReadTimeout):
                await leaving.post(APPLIED, headers=mine, json=body, timeout=0.5)
        deadline = time.monotonic() + 3
        while await sample(client, issuer, "folio_api_applied_waiting"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        looks = await sample(client, issuer, "folio_api_applied_looks_total")
        await asyncio.sleep(0.2)
        assert await sample(client, issuer, "folio_api_applied_looks_total") == looks
        again = await client.post(APPLIED, headers=mine, json=body)
        assert again.headers["idempotent-replayed"] == "true", "it is not sent once more"
        assert again.status_code == httpx.codes.ACCEPTED


async def test_a_lane_that_was_moved_past_an_event_is_told(stream: Stream, served: Served, issuer: Issuer) -> None:
    """Nothing of it is in the books, and no duplicate of it either."""
    async with served() as client, stream.database() as connection:
        mine = may_write(issuer, 1)
        with stream.worker() as worker:
            await client.post(APPLIED, headers=mine, json=event(1, at=NOW))
            await worker.stop()
        waiting = asyncio.create_task(client.post(APPLIED, headers=mine, json=event(2, at=NOW)))
        await asyncio.sleep(0.3)
        await connection.execute("UPDATE ops.lanes SET finance_position = finance_position + 1 WHERE applied > 0")
        (told,) = (await waiting).json()["events"]
        assert (told["outcome"], told["balance"]) == ("unknown", None)


async def test_a_letter_of_another_organisation_is_not_shown(stream: Stream) -> None:
    async with stream.database() as connection:
        await connection.execute(
            "INSERT INTO ops.dead_letters VALUES ('t', 0, 5, 'schema', 'secret', now(), now(), '2', '', NULL)"
        )
        seen = {}
        for org in ("1", "2", ""):
            async with connection.transaction():
                await connection.execute("SET LOCAL ROLE folio_reader")
                await connection.execute("SELECT set_config('folio.org_id', $1, true)", org)
                seen[org] = await connection.fetch("SELECT * FROM ops.own_dead_letters('t', '{0}', '{5}')")
        assert {org: len(rows) for org, rows in seen.items()} == {"1": 0, "2": 1, "": 0}
        await connection.execute("SET ROLE folio_reader")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM ops.dead_letters")
    assert [row["reason"] for row in seen["2"]] == ["schema"]
