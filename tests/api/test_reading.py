"""Reads over HTTP, of a real server on books that a real worker has made: each answer equals SQL's."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import Served
from tests.api.issuing import Issuer
from tests.support.events import encoded, event
from tests.support.stream import Stream

NOW = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)  # the same day in Asia/Kolkata
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)
BASE = "/v1/orgs/1/properties/1"


async def booked(stream: Stream) -> None:
    """Two days of a property, and another organisation."""
    sent = [
        event(1, at=NOW - timedelta(days=1), amount=100, description="a room"),
        event(2, at=NOW - timedelta(days=1), amount=30, kind="expense"),
        event(3, at=NOW, amount=50, mode="bank"),
        event(1, 2, at=NOW - timedelta(days=1), amount=120, description="two rooms"),
        event(9, org=2, at=NOW, amount=7),
    ]
    await stream.send([(str(each["org_id"]).encode(), encoded(each)) for each in sent])
    with stream.worker() as worker:
        await stream.wait_until_consumed(len(sent))
        await worker.stop()


async def answered(client: httpx.AsyncClient, path: str, headers: dict[str, str], **query: Any) -> Any:
    answer = await client.get(path, headers=headers, params=query)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


async def test_what_the_books_say(stream: Stream, served: Served, issuer: Issuer) -> None:
    await booked(stream)
    mine = issuer.bearer(1)
    async with served() as client:
        day = await answered(client, f"{BASE}/balances/{YESTERDAY}", mine)
        async with stream.database() as connection:
            row = await connection.fetchrow(
                "SELECT * FROM finance.daily_cash_balances_partitioned WHERE org_id = 1 AND balance_date = $1",
                YESTERDAY,
            )
        assert row is not None
        figures = [name for name in row.keys() if name.endswith("_cents") or name == "version"]  # noqa: SIM118
        assert {name: day[name] for name in figures} == {name: row[name] for name in figures}
        assert (day["cash_received_cents"], day["cash_expenses_cents"], day["version"]) == (120, 30, row["version"])

        later = await answered(client, f"{BASE}/balances/{TODAY + timedelta(days=3)}", mine)
        assert (later["version"], later["opening_balance_cents"], later["closing_balance_cents"]) == (0, 90, 90)

        asked = {"first": str(YESTERDAY), "last": str(TODAY), "limit": 1}
        first = await answered(client, f"{BASE}/balances", mine, **asked)
        second = await answered(client, f"{BASE}/balances", mine, **asked, after=first["next"])
        assert [page["items"][0]["balance_date"] for page in (first, second)] == [str(YESTERDAY), str(TODAY)]
        assert second["next"] is None

        report = await answered(client, f"{BASE}/reports/daily/{YESTERDAY}", mine)
        assert [each["created_by_name"] for each in report["revenues"]["items"]] == ["Asha"]
        assert report["totals"][0]["amount_cents"] == 30
        month = await answered(client, f"{BASE}/reports/months/{TODAY}", mine)
        assert month["closing_balance_cents"] == 90
        overview = await answered(client, "/v1/orgs/1/overview", mine, day=str(TODAY))
        assert [line["latest"]["closing_balance_cents"] for line in overview["items"]] == [90]

        one = await answered(client, "/v1/orgs/1/transactions/revenue/1", mine)
        assert (one["version"], one["description"]) == (2, "two rooms")
        history = await answered(client, "/v1/orgs/1/transactions/revenue/1/history", mine)
        assert [each["record"]["data"]["amount_cents"] for each in history["items"]] == [100, 120]
        listed = await answered(client, f"{BASE}/transactions/revenue/{TODAY}", mine)
        assert [each["id"] for each in listed["items"]] == [3]
        then = await answered(
            client, f"{BASE}/balances/{YESTERDAY}/as-of", mine, recorded_at=history["items"][0]["recorded_at"]
        )
        assert then["closing_balance_cents"] == 100, "of the first record alone"


async def test_who_has_the_answer_already_gets_no_body(stream: Stream, served: Served, issuer: Issuer) -> None:
    await booked(stream)
    mine = issuer.bearer(1)
    async with served() as client:
        first = await client.get(f"{BASE}/balances/{TODAY}", headers=mine)
        again = await client.get(f"{BASE}/balances/{TODAY}", headers=mine | {"If-None-Match": first.headers["etag"]})
        other = await client.get(
            f"{BASE}/balances/{YESTERDAY}", headers=mine | {"If-None-Match": first.headers["etag"]}
        )
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert other.status_code == httpx.codes.OK
    assert first.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"exp": 1}, "expired"),
        ({"aud": "others"}, "udience"),
        ({"iss": "others"}, "ssuer"),
        ({"orgs": "1"}, "orgs"),
        ({"orgs": [True]}, "orgs"),
        ({"roles": ["root"]}, "roles"),
        ({"sub": None}, "sub"),
    ],
)
async def test_a_token_that_proves_nothing_is_refused(
    served: Served, issuer: Issuer, changed: dict[str, Any], says: str
) -> None:
    async with served() as client:
        answer = await client.get(f"{BASE}/balances/{TODAY}", headers=issuer.bearer(1, **changed))
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert says in answer.json()["detail"]


async def test_forged_tokens_and_other_peoples_organisations(served: Served, issuer: Issuer) -> None:
    forger = Issuer(key_id=issuer.key_id)
    unsigned = "eyJhbGciOiJub25lIiwia2lkIjoidGVzdC0xIn0." + issuer.token(1).split(".")[1] + "."
    async with served() as client:
        for headers in ({}, {"Authorization": "Basic x"}, forger.bearer(1), {"Authorization": f"Bearer {unsigned}"}):
            assert (
                await client.get(f"{BASE}/balances/{TODAY}", headers=headers)
            ).status_code == httpx.codes.UNAUTHORIZED
        for headers in (issuer.bearer(2), issuer.bearer(), issuer.bearer(1, roles=["writer"])):
            assert (await client.get(f"{BASE}/balances/{TODAY}", headers=headers)).status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        (f"{BASE}/balances/2026-02-30", 404, ""),
        ("/v1/orgs/1/properties/99/balances/2026-01-01", 404, "no balance"),
        ("/v1/orgs/1/transactions/revenue/12345", 404, "no revenue 12345"),
        ("/v1/orgs/1/transactions/gift/1", 400, ""),
        (f"{BASE}/balances?first=2026-01-01", 400, ""),
        (f"{BASE}/balances?first=2026-01-01&last=2026-01-02&limit=100000", 400, ""),
        (f"{BASE}/balances?first=2026-01-01&last=2026-01-02&after=%27%3B--", 400, "unchanged"),
        ("/v1/orgs/99999999999999999999/overview?day=2026-01-01", 403, ""),
        ("/nothing", 404, ""),
    ],
)
async def test_what_cannot_be_answered_says_why(
    served: Served, issuer: Issuer, path: str, status: int, says: str
) -> None:
    async with served() as client:
        answer = await client.get(path, headers=issuer.bearer(1) | {"Folio-Read": "any"})
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status), problem
    assert says in problem["detail"]
    assert problem["instance"] == path.split("?", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v1/orgs/1/transactions/revenue/1/history", 2**31),
        ("/v1/orgs/1/transactions/revenue/1/history", -1),
        ("/v1/orgs/1/overview?day=2026-01-01", 2**63),
        (f"{BASE}/transactions/revenue/2026-01-01", {"occurred_at": "2026-01-01T00:00:00", "id": 1}),
        (f"{BASE}/transactions/revenue/2026-01-01", {"occurred_at": "0001-01-01T00:00:00+23:00", "id": 1}),
        (f"{BASE}/transactions/revenue/2026-01-01", {"occurred_at": "2026-01-01T00:00:00Z", "id": 2**63}),
        (f"{BASE}/balances?first=2026-01-01&last=2026-01-02", "10000-01-01"),
    ],
)
async def test_a_place_that_no_page_has_given_is_refused(served: Served, issuer: Issuer, path: str, key: Any) -> None:
    """It was an error of the server, where the database has no such number."""
    after = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
    async with served() as client:
        address = httpx.URL(path).copy_merge_params({"after": after})
        answer = await client.get(address, headers=issuer.bearer(1))
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text


@pytest.mark.parametrize("recorded_at", ["0001-01-01T00:00:00%2B23:00", "9999-12-31T23:59:59-23:00"])
async def test_an_instant_beyond_the_calendar_is_refused(served: Served, issuer: Issuer, recorded_at: str) -> None:
    async with served() as client:
        path = f"{BASE}/balances/2026-01-01/as-of?recorded_at={recorded_at}"
        answer = await client.get(path, headers=issuer.bearer(1))
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text


async def test_a_mark_of_a_place_that_there_is_not_waits_for_nobody(served: Served, issuer: Issuer) -> None:
    mine = issuer.bearer(1) | {"Folio-Read": "after=1-1:9999999999999999999"}
    async with served() as client:
        answer = await client.get(f"{BASE}/balances/2026-01-01", headers=mine)
    assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, answer.text
